// Durations and sizes as texts: the same in every configuration file, on the command line and in messages. Pure; any
// thread. What is wrong gives kInvalidArgument with the text that was read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quern {

// "300" and "300s", "5m", "1h30m", "250ms"; units d h m s ms, largest first.
struct Duration {
  double seconds = 0;  // infinity is written "forever"
  bool operator==(const Duration&) const = default;
};

Result<Duration> parse_duration(std::string_view text);
std::string duration_text(Duration value);
// "1048576", "512MB" (10^6), "2GiB" (2^30).
Result<uint64_t> parse_bytes(std::string_view text);
std::string bytes_text(uint64_t bytes);

// A wrong value as a message quotes it: its first 60 bytes.
std::string shown_value(std::string_view text);

}  // namespace quern
