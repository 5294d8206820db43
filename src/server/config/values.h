// The values that an option of the configuration can have, and their one text form: the same in quern.yaml, on the
// command line, in messages and in the documentation.
//
// A ConfigField points into the struct it was made for, which must outlive it; the value there at that moment is the
// default. Pure functions; any thread, each with fields of its own.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "config/units.h"

namespace quern::server {

// "1048576", "512MB" (10^6), "2GiB" (2^30), and where the option allows them "auto" and "none".
struct ByteLimit {
  enum class Kind : uint8_t { kBytes, kAuto, kNone };
  Kind kind = Kind::kBytes;
  uint64_t bytes = 0;
  bool operator==(const ByteLimit&) const = default;
};

// uint8_t is an enumeration: the index of one of ConfigLimits::words.
using ConfigRef =
    std::variant<bool*, uint32_t*, double*, uint8_t*, std::string*, std::vector<std::string>*, Duration*, ByteLimit*>;

struct ConfigLimits {
  double min = 0;  // inclusive; of a duration in seconds, of a size in bytes
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string_view> words = {};  // those that stand for a value
};

struct ConfigField {
  std::string_view group;  // heading in the documentation
  std::string_view key;    // max_itl_ms; the flag is --max-itl-ms
  ConfigRef to;
  std::string_view help;
  ConfigLimits limits = {};
};

template <class Enum>
ConfigRef choice(Enum& value) {
  static_assert(std::is_enum_v<Enum> && sizeof(Enum) == 1);
  return reinterpret_cast<uint8_t*>(&value);  // an unsigned char, which may alias anything
}

std::string flag_of(const ConfigField& field);
[[nodiscard]] bool is_list(const ConfigField& field);
// "a whole number from 1 to 65535", "a duration like 300, 5m or 1h30m", ...: what stands after "wants" in messages.
std::string wanted(const ConfigField& field);
// Sets the value from its text. kInvalidArgument says what is wanted and what came; the value is then as it was.
// A list takes the whole of `texts`, anything else exactly one.
Status assign(const ConfigField& field, std::span<const std::string> texts);
// What assign() would take. Lists are joined by ", "; an empty text or list is "".
std::string value_text(const ConfigField& field);

}  // namespace quern::server
