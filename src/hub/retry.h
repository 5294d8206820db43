// Trying again: which failures of a server pass, how long to wait, when to stop. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "hub/http.h"
#include "hub/options.h"

namespace quern::hub {

// An attempt that did not finish.
struct Attempt {
  Error error;
  bool retry = false;  // the next one may succeed
  double wait_s = 0;   // asked for by the server
};

// A response of status 300 and above as a failed attempt. `help` says what to do where the request itself is refused.
Attempt refused(const HttpResponse& head, std::string_view url, std::string_view help);

// Runs `attempt` until it answers nothing (done), fails for good, or options.retries attempts in a row have not moved
// `position`; waits between them, longer each time, and tells the monitor. kCancelled where the monitor asks to stop.
Status with_retries(const HubOptions& options, const PullMonitor& monitor,
                    const std::function<std::optional<Attempt>()>& attempt, const std::function<uint64_t()>& position);

struct TextRequest {
  std::string url;
  std::string token;
  std::string help_on_refusal;
  size_t limit = 0;  // bytes of the body
};

// A small answer, with retries.
Result<HttpText> fetch_text(const TextRequest& request, const HubOptions& options, const PullMonitor& monitor);

}  // namespace quern::hub
