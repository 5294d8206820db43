#include "hub/retry.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "base/clock.h"

namespace quern::hub {

namespace {

constexpr double kLongestDelayS = 30;
constexpr double kLongestRetryAfterS = 120;

// False when cancelled.
bool pause(double seconds, const PullMonitor& monitor) {
  const double end = now_s() + seconds;
  while (now_s() < end) {
    if (monitor.stop()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

}  // namespace

Attempt refused(const HttpResponse& head, std::string_view url, std::string_view help) {
  const bool retry = head.status == 408 || head.status == 429 || head.status >= 500;
  std::string message = fmt::format("{}: the server answers {}", url, head.status);
  if (!head.error_message.empty()) message += fmt::format(" ({})", head.error_message);
  if (!retry && !help.empty()) message += fmt::format(": {}", help);
  ErrorCode code = ErrorCode::kUnsupported;
  if (retry) code = ErrorCode::kIo;
  if (head.status == 404) code = ErrorCode::kNotFound;
  return {{code, std::move(message)},
          retry,
          std::min(static_cast<double>(head.retry_after_s.value_or(0)), kLongestRetryAfterS)};
}

Status with_retries(const HubOptions& options, const PullMonitor& monitor,
                    const std::function<std::optional<Attempt>()>& attempt, const std::function<uint64_t()>& position) {
  int failures = 0;
  for (;;) {
    const uint64_t before = position();
    auto failed = attempt();
    if (!failed) return {};
    failures = position() > before ? 1 : failures + 1;
    if (!failed->retry || failures >= options.retries) return tl::unexpected<Error>(std::move(failed->error));
    monitor.say(failed->error.message + "; trying again");
    const double delay = std::min(kLongestDelayS, std::ldexp(options.retry_delay_s, failures - 1));
    if (!pause(std::max(delay, failed->wait_s), monitor)) return fail(ErrorCode::kCancelled, "stopped on request");
  }
}

Result<HttpText> fetch_text(const TextRequest& request, const HubOptions& options, const PullMonitor& monitor) {
  HttpText text;
  const auto attempt = [&]() -> std::optional<Attempt> {
    HttpRequest http;
    http.url = request.url;
    http.token = request.token;
    http.cancelled = [&] { return monitor.stop(); };
    auto result = http_get_text(std::move(http), request.limit);
    if (!result) return Attempt{result.error(), result.error().code == ErrorCode::kIo, 0};
    if (result->head.status >= 300) return refused(result->head, request.url, request.help_on_refusal);
    text = std::move(*result);
    return std::nullopt;
  };
  QUERN_CHECK_OK(with_retries(options, monitor, attempt, [] { return uint64_t{0}; }));
  return text;
}

}  // namespace quern::hub
