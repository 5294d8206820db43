// The parsers of /proc and /sys text: /proc and /sys are the kernel's, but containers put their own files there.
#include <cstdint>
#include <string_view>

#include "os/small_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto cpus = quern::parse_cpu_list(text)) {
    for (size_t i = 1; i < cpus->size(); ++i) {
      if ((*cpus)[i - 1] >= (*cpus)[i]) __builtin_trap();  // ascending, without repeats
    }
    if (!cpus->empty() && cpus->back() > quern::kMaxCpuId) __builtin_trap();
  }
  quern::parse_size(text);
  quern::find_figure(text, "VmRSS");
  quern::find_figure(text, "inactive_file");
  return 0;
}
