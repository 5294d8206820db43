// Bounds of numbers: a first byte of flags, the least, a line break, the most. The shortest number within is a JSON
// number.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "grammar/number_range.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const size_t line = text.find('\n');
  quern::grammar::NumberRange range{.least_open = (data[0] & 1) != 0, .most_open = (data[0] & 2) != 0};
  if (line != 0) range.least = text.substr(0, line);
  if (line != std::string_view::npos) range.most = text.substr(line + 1);
  quern::grammar::IrBuilder builder;
  const auto symbol = quern::grammar::add_number_range(range, (data[0] & 4) != 0, builder);
  if (!symbol) return 0;
  const auto ir = builder.finish(*symbol);
  if (ir && (ir->least_bytes[ir->root] == 0 || ir->least_bytes[ir->root] > 50)) __builtin_trap();
  return 0;
}
