#include "engine/sequence.h"

namespace quern {

void Sequence::finish(StopReason reason, std::string& text) {
  if (reason != StopReason::kStopString) {
    text += stops.feed(detokenizer.flush());
    text += stops.finish();
  }
  completion.reason = stops.stopped() ? StopReason::kStopString : reason;
  done = true;
}

void Sequence::accept(const SampledToken& token, const GenerateOptions& options, const Tokenizer& tokenizer,
                      size_t n_ctx, const TokenCallback& on_token) {
  std::string text;
  const bool ended = tokenizer.is_eog(token.id) && (!options.ignore_eos || ends_with);
  if (ended) {
    finish(ends_with.value_or(StopReason::kEndOfText), text);
  } else {
    ids.push_back(token.id);
    completion.ids.push_back(token.id);
    sampler.accept(token.id);
    if (matcher) matcher->accept(token.id);
    text += stops.feed(detokenizer.push(token.id));
    if (options.sampling.logprobs >= 0) {
      completion.logprobs.push_back({token.id, token.logprob, {token.top.begin(), token.top.end()}});
    }
    if (stops.stopped()) {
      finish(StopReason::kStopString, text);
    } else if (ends_with) {
      finish(*ends_with, text);
    } else if (matcher && matcher->complete()) {
      finish(StopReason::kEndOfText, text);
    } else if (completion.ids.size() >= options.max_tokens) {
      finish(StopReason::kMaxTokens, text);
    } else if (ids.size() > n_ctx) {
      finish(StopReason::kContextFull, text);  // the token stands, but has no position left to be computed at
    }
  }
  completion.text += text;
  if (!on_token || (ended && text.empty())) return;
  const TokenEvent event{
      .sample = sample, .id = token.id, .text = text, .end = ended, .logprob = token.logprob, .top = token.top};
  if (!on_token(event)) cancel();
}

void Sequence::cancel() {
  if (done) return;
  std::string rest;
  finish(StopReason::kCancelled, rest);
  completion.text += rest;
}

}  // namespace quern
