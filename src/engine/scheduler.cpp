#include "engine/scheduler.h"

#include <algorithm>

namespace quern {

void schedule(std::span<const Waiting> waiting, size_t max_tokens, std::vector<Scheduled>& out) {
  out.clear();
  size_t left = max_tokens;
  for (const Waiting& w : waiting) {
    if (left == 0) return;
    if (!w.decoding || w.remaining == 0) continue;
    out.push_back({w.index, 1});
    --left;
  }
  for (const Waiting& w : waiting) {
    if (left == 0) return;
    if (w.decoding || w.remaining == 0) continue;
    const size_t n = std::min(w.remaining, left);
    out.push_back({w.index, n});
    left -= n;
  }
}

}  // namespace quern
