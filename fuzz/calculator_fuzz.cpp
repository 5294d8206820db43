// The builtin calculator: any text gives a finite value or a message that says where it is wrong.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tools/calculator.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto value = quern::toolbox::calculate(text);
  if (value ? !std::isfinite(*value) : value.error().message.empty()) std::abort();
  if (value && quern::toolbox::number_text(*value).empty()) std::abort();
  return 0;
}
