// The values of Ollama's API as texts: names, durations, times, sizes. Pure; any thread.
//
// Source: Ollama's docs/api.md and docs/faq.md (keep_alive); time.ParseDuration of Go; RFC 3339.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/body.h"

namespace quern::server::ollama {

// A model's name as ModelStore takes it, which forgives ":latest" itself: a configured name may end so.
std::string model_name(std::string_view asked);
// A model's name as the hub knows it: "hf:OWNER/REPO" for "hf.co/OWNER/REPO", and without the ":latest" that Ollama's
// clients add.
std::string hub_name(std::string_view asked);

// "5m", "1h30m", "-1s", "300ms" as Go writes durations, and a plain number of seconds; nullopt when it is none.
std::optional<double> parse_go_duration(std::string_view text);

// keep_alive: a number of seconds or a duration; negative is for ever (infinity). Empty where it is absent (null).
// kInvalidArgument.
Result<std::optional<double>> read_keep_alive(const Json& value);
inline constexpr const char* kKeepAliveSchema = R"({"type": ["string", "number"]})";

// "2024-01-31T12:34:56.123456789Z" of seconds since 1970; the last year that it tells is 9999.
std::string rfc3339(double seconds);
std::string rfc3339_now();

// "134.52M", "7.6B", as Ollama tells numbers of parameters.
std::string parameter_size(uint64_t parameters);

}  // namespace quern::server::ollama
