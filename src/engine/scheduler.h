// The scheduler: which tokens go into the next forward. A pure function of what waits; no clock, no tensors, no state.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace quern {

// A sequence as the scheduler sees it, in order of arrival.
struct Waiting {
  size_t index = 0;      // of the sequence, for the caller
  size_t remaining = 0;  // tokens not yet computed: 1 when it decodes, else the rest of its prompt
  bool decoding = false;
};

struct Scheduled {
  size_t index = 0;
  size_t n_tokens = 0;
};

// Decode tokens first, one for each decoding sequence, so that no prompt stalls a stream; what is left of `max_tokens`
// goes to prompts in order of arrival, the last one possibly in part. Writes to `out`. Never more than max_tokens in
// all, never a sequence twice; makes progress whenever anything waits and max_tokens >= 1.
void schedule(std::span<const Waiting> waiting, size_t max_tokens, std::vector<Scheduled>& out);

}  // namespace quern
