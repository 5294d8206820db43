#include "server/log/request_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

namespace quern::server {

namespace {

constexpr size_t kLongestValue = 1000;  // bytes of a client's text in a line; prompts have no limit

// 2026-01-02T03:04:05.678Z
std::string time_text(double time_s) {
  using namespace std::chrono;
  if (!(time_s >= 0 && time_s < 253402300800.0)) time_s = 0;  // up to the year 9999
  const sys_time<milliseconds> time{milliseconds{std::llround(time_s * 1000)}};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

std::string milliseconds_text(double seconds) {
  return fmt::format("{:.1f}", seconds * 1000);
}

double rounded_ms(double seconds) {
  return std::round(seconds * 1e4) / 10;
}

std::string shortened(const std::string& text) {
  return text.size() <= kLongestValue ? text : text.substr(0, kLongestValue) + "...";
}

// A word as it is; anything else in quotes, as JSON has them, so that a line can be read back and holds one value only.
std::string quoted(const std::string& text) {
  const bool word = !text.empty() && text.find_first_of(" \"\\=") == std::string::npos &&
                    std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
  return word ? text
              : nlohmann::json(text).dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

// Calls text(name, value), number(name, value) and ms(name, seconds) for what is known, in the order of the line.
void visit(const RequestRecord& r, bool with_prompts, auto&& text, auto&& number, auto&& ms) {
  text("id", r.id);
  text("method", r.method);
  text("route", r.route);
  number("status", std::optional<size_t>(static_cast<size_t>(std::max(0, r.status))));
  text("key", r.key_name);
  text("client", r.client);
  text("model", r.model);
  number("prompt_tokens", r.prompt_tokens);
  number("cached_tokens", r.cached_tokens);
  number("generated_tokens", r.generated_tokens);
  ms("queue_ms", r.queue_s);
  ms("ttft_ms", r.first_token_s);
  ms("duration_ms", std::optional(r.duration_s));
  text("finish_reason", r.finish_reason);
  text("truncation", r.truncation);
  text("error", r.error);
  if (with_prompts) {
    text("prompt", r.prompt, /*whole=*/true);
    text("answer", r.answer, /*whole=*/true);
  }
}

}  // namespace

std::string json_line(const RequestRecord& record, bool with_prompts) {
  nlohmann::ordered_json line;
  line["time"] = time_text(record.time_s);
  visit(
      record, with_prompts,
      [&](const char* name, const std::string& value, bool whole = false) {
        if (!value.empty()) line[name] = whole ? value : shortened(value);
      },
      [&](const char* name, std::optional<size_t> value) {
        if (value) line[name] = *value;
      },
      [&](const char* name, std::optional<double> seconds) {
        if (seconds) line[name] = rounded_ms(*seconds);
      });
  // ASCII alone: terminals take some characters beyond it for commands.
  return line.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

std::string text_line(const RequestRecord& record, bool with_prompts) {
  std::string line = time_text(record.time_s);
  const auto add = [&](const char* name, const std::string& value) { line += fmt::format(" {}={}", name, value); };
  visit(
      record, with_prompts,
      [&](const char* name, const std::string& value, bool whole = false) {
        if (!value.empty()) add(name, quoted(whole ? value : shortened(value)));
      },
      [&](const char* name, std::optional<size_t> value) {
        if (value) add(name, std::to_string(*value));
      },
      [&](const char* name, std::optional<double> seconds) {
        if (seconds) add(name, milliseconds_text(*seconds));
      });
  return line;
}

RequestLog::RequestLog(LogFormat format, bool log_prompts, Writer writer)
    : format_(format), log_prompts_(log_prompts), writer_(std::move(writer)) {}

void RequestLog::write(const RequestRecord& record) {
  if (format_ == LogFormat::kNone) return;
  std::string line = format_ == LogFormat::kJson ? json_line(record, log_prompts_) : text_line(record, log_prompts_);
  line += '\n';
  const std::lock_guard lock(mutex_);
  writer_(line);
}

RequestLog::Writer file_writer(std::FILE* file) {
  return [file](std::string_view line) {
    // A log that cannot be written has nowhere to say so; the request was answered.
    (void)std::fwrite(line.data(), 1, line.size(), file);
    (void)std::fflush(file);
  };
}

}  // namespace quern::server
