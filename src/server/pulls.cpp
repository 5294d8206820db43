#include "server/pulls.h"

#include <algorithm>
#include <vector>

#include "base/clock.h"

namespace quern::server {

namespace {

constexpr size_t kMaxPulls = 4;        // the line and the disk are shared: more would only be slower each
constexpr double kReportEveryS = 0.1;  // a person watches

Result<hub::Pulled> pull_from_hub(const std::string& source, const hub::PullMonitor& monitor) {
  QUERN_TRY(const hub::HubOptions options, hub::hub_options_from_environment());
  return hub::pull(source, /*verify=*/false, options, monitor);
}

}  // namespace

Pulls::Pulls(Fetch fetch) : fetch_(fetch ? std::move(fetch) : pull_from_hub) {}

Pulls::~Pulls() {
  stop();
  for (Pull& pull : pulls_) pull.thread.join();
}

void Pulls::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
}

// Their threads have left the lock for good, so this does not wait.
void Pulls::join_ended() {
  for (auto at = pulls_.begin(); at != pulls_.end();) {
    if (!at->ended) {
      ++at;
      continue;
    }
    at->thread.join();
    at = pulls_.erase(at);
  }
}

Result<uint64_t> Pulls::watch(const std::string& source, PullWatcher watcher) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return fail(ErrorCode::kCancelled, "the server stops");
  join_ended();
  auto at = std::find_if(pulls_.begin(), pulls_.end(), [&](const Pull& p) { return p.source == source; });
  if (at == pulls_.end()) {
    if (pulls_.size() >= kMaxPulls) {
      return fail_f(ErrorCode::kBusy, "{} models are being pulled, which is the most at a time", pulls_.size());
    }
    at = pulls_.emplace(pulls_.end());
    at->source = source;
  }
  at->watchers[++last_id_] = std::make_shared<const PullWatcher>(std::move(watcher));
  if (!at->thread.joinable()) at->thread = std::thread([this, &pull = *at] { run(pull); });
  return last_id_;
}

void Pulls::leave(uint64_t id) {
  std::shared_ptr<const PullWatcher> gone;  // and what it holds: not under the lock
  const std::lock_guard lock(mutex_);
  for (Pull& pull : pulls_) {
    const auto at = pull.watchers.find(id);
    if (at == pull.watchers.end()) continue;
    gone = std::move(at->second);
    pull.watchers.erase(at);
    return;
  }
}

bool Pulls::unwanted(const Pull& pull) {
  const std::lock_guard lock(mutex_);
  return stopping_ || pull.watchers.empty();
}

void Pulls::tell(Pull& pull, const PullStep& step) {
  std::vector<std::shared_ptr<const PullWatcher>> watchers;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, watcher] : pull.watchers) watchers.push_back(watcher);
  }
  for (const auto& watcher : watchers) watcher->on_step(step);
}

void Pulls::run(Pull& pull) {
  std::map<std::string, std::string, std::less<>> hashes;
  double reported = 0;
  const hub::PullMonitor monitor{
      .progress =
          [&](std::string_view what, uint64_t done, uint64_t total) {
            if (done < total && now_s() - reported < kReportEveryS) return;
            reported = now_s();
            const auto hash = hashes.find(what);
            tell(pull, {.note = {},
                        .file = std::string(what),
                        .sha256 = hash == hashes.end() ? std::string() : hash->second,
                        .done = done,
                        .total = total});
          },
      .expected = [&](std::string_view what, std::string_view sha256) { hashes[std::string(what)] = sha256; },
      .note = [&](std::string_view message) { tell(pull, {.note = std::string(message), .file = {}, .sha256 = {}}); },
      .cancelled = [&] { return unwanted(pull); }};
  Result<hub::Pulled> result = fetch_(pull.source, monitor);
  // Cancelled because nobody watched, and then somebody came.
  while (!result && result.error().code == ErrorCode::kCancelled && !unwanted(pull)) {
    result = fetch_(pull.source, monitor);
  }
  // Who comes from here on begins another pull, which finds the file there.
  std::map<uint64_t, std::shared_ptr<const PullWatcher>> watchers;
  {
    const std::lock_guard lock(mutex_);
    watchers = std::move(pull.watchers);
    pull.watchers.clear();
    pull.source.clear();
  }
  for (const auto& [id, watcher] : watchers) watcher->on_end(result);
  watchers.clear();
  const std::lock_guard lock(mutex_);
  pull.ended = true;
}

}  // namespace quern::server
