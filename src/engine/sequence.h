// Sequence: one sample on its way: its tokens, its pages, and what turns logits into text.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "grammar/matcher.h"
#include "kv/page_pool.h"
#include "quern/quern.h"
#include "sample/sampler.h"
#include "sample/stop_matcher.h"
#include "text/detokenizer.h"

namespace quern {

struct Sequence {
  unsigned sample = 0;
  std::vector<int32_t> ids;  // prompt, then sampled tokens
  size_t n_prompt = 0;
  size_t n_computed = 0;  // positions whose keys and values are stored
  size_t n_to_read = 0;   // tokens to compute when it was admitted
  PageTable pages;
  Sampler sampler;
  StopMatcher stops;
  Detokenizer detokenizer;
  Completion completion;
  bool done = false;
  double last_token = 0;  // when it was sampled; 0: none yet
  std::optional<grammar::Matcher> matcher = {};
  std::optional<StopReason> ends_with = {};  // the next token is the last one, for this reason

  [[nodiscard]] size_t remaining() const { return ids.size() - n_computed; }
  [[nodiscard]] bool decoding() const { return ids.size() > n_prompt; }

  // Tokens that may still come.
  [[nodiscard]] size_t left(const GenerateOptions& options, size_t n_ctx) const {
    return std::min(options.max_tokens - completion.ids.size(), n_ctx + 1 - ids.size());
  }

  // Takes the token that was sampled and decides whether the sample goes on. `on_token` may be empty.
  void accept(const SampledToken& token, const GenerateOptions& options, const Tokenizer& tokenizer, size_t n_ctx,
              const TokenCallback& on_token);

  // Ends the sample here; what was held back for a stop string joins its text.
  void cancel();

 private:
  void finish(StopReason reason, std::string& text);
};

}  // namespace quern
