#include "sample/stop_matcher.h"

#include <algorithm>

namespace quern {
namespace {

constexpr size_t kMaxStops = 64;
constexpr size_t kMaxStopBytes = 4096;

}  // namespace

Result<StopMatcher> StopMatcher::make(std::vector<std::string> stops) {
  if (stops.size() > kMaxStops) {
    return fail_f(ErrorCode::kInvalidArgument, "{} stop strings, at most {} are allowed", stops.size(), kMaxStops);
  }
  StopMatcher matcher;
  for (std::string& stop : stops) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      return fail_f(ErrorCode::kInvalidArgument, "a stop string has {} bytes, it must have 1 to {}", stop.size(),
                    kMaxStopBytes);
    }
    Pattern p;
    p.text = std::move(stop);
    p.border.assign(p.text.size() + 1, 0);
    for (size_t i = 1, k = 0; i < p.text.size(); ++i) {
      while (k > 0 && p.text[i] != p.text[k]) k = p.border[k];
      if (p.text[i] == p.text[k]) ++k;
      p.border[i + 1] = static_cast<uint32_t>(k);
    }
    matcher.patterns_.push_back(std::move(p));
  }
  return matcher;
}

bool StopMatcher::advance(char byte) {
  for (size_t i = 0; i < patterns_.size(); ++i) {
    Pattern& p = patterns_[i];
    while (p.matched > 0 && p.text[p.matched] != byte) p.matched = p.border[p.matched];
    if (p.text[p.matched] == byte) ++p.matched;
    if (p.matched < p.text.size()) continue;
    if (!stopped_ || p.text.size() > patterns_[*stopped_].text.size()) stopped_ = i;
  }
  return stopped_.has_value();
}

std::string_view StopMatcher::feed(std::string_view piece) {
  if (stopped_) return {};
  pending_.erase(0, emitted_);
  emitted_ = 0;
  for (char byte : piece) {
    pending_ += byte;
    if (!advance(byte)) continue;
    emitted_ = pending_.size() - patterns_[*stopped_].text.size();
    return std::string_view(pending_).substr(0, emitted_);
  }
  size_t held = 0;
  for (const Pattern& p : patterns_) held = std::max(held, p.matched);
  emitted_ = pending_.size() - held;
  return std::string_view(pending_).substr(0, emitted_);
}

std::string_view StopMatcher::finish() {
  if (stopped_) return {};
  pending_.erase(0, emitted_);
  emitted_ = pending_.size();
  for (Pattern& p : patterns_) p.matched = 0;
  return pending_;
}

}  // namespace quern
