// HubOptions: where models are kept and where they come from; PullMonitor: how a long fetch talks to its caller.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quern::hub {

struct HubOptions {
  std::string cache_dir;                            // models lie in cache_dir/models
  std::string endpoint = "https://huggingface.co";  // no slash at the end
  std::string token;                                // for gated and private repositories; sent to the endpoint only
  int retries = 5;                                  // attempts in a row that bring nothing before giving up
  double retry_delay_s = 0.5;                       // before the second attempt; doubles up to 30 s

  [[nodiscard]] std::string models_dir() const { return cache_dir + "/models"; }
};

// Fills cache_dir, endpoint and token from QUERN_CACHE (see os/paths.h), HF_ENDPOINT and HF_TOKEN.
Result<HubOptions> hub_options_from_environment();

// Every member may be unset. All are called on the thread that pulls.
struct PullMonitor {
  // Bytes of `what` that are there, of `total` (0: unknown).
  std::function<void(std::string_view what, uint64_t done, uint64_t total)> progress;
  // The SHA-256 that `what` must have, before its first bytes; not called where none is known beforehand.
  std::function<void(std::string_view what, std::string_view sha256)> expected;
  // A sentence that the user should see: a choice made, a retry, a licence.
  std::function<void(std::string_view message)> note;
  // Polled several times a second; true stops the pull with kCancelled and keeps what can be resumed.
  std::function<bool()> cancelled;

  void report(std::string_view what, uint64_t done, uint64_t total) const {
    if (progress) progress(what, done, total);
  }
  void expect(std::string_view what, std::string_view sha256) const {
    if (expected) expected(what, sha256);
  }
  void say(std::string_view message) const {
    if (note) note(message);
  }
  [[nodiscard]] bool stop() const { return cancelled && cancelled(); }
};

}  // namespace quern::hub
