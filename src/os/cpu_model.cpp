#include "os/cpu_model.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "os/small_file.h"

namespace quern {

namespace {

// The value after "key   : " in /proc/cpuinfo, of the first processor.
std::optional<std::string> cpuinfo_field(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view value = take_until(text, '\n');
    if (trim(take_until(value, ':')) == key) return std::string(trim(value));
  }
  return std::nullopt;
}

}  // namespace

std::string cpu_model() {
  const std::string text = read_small_file("/proc/cpuinfo").value_or("");
  if (const auto name = cpuinfo_field(text, "model name")) {
    // Virtual machines often call all generations of a maker the same: the numbers tell them apart.
    const auto family = cpuinfo_field(text, "cpu family"), model = cpuinfo_field(text, "model");
    return family && model ? fmt::format("{} (family {} model {})", *name, *family, *model) : *name;
  }
  const auto maker = cpuinfo_field(text, "CPU implementer"), part = cpuinfo_field(text, "CPU part");
  return maker && part ? fmt::format("ARM implementer {} part {}", *maker, *part) : "unknown processor";
}

}  // namespace quern
