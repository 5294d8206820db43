// Matcher: one text that is generated under a grammar. GrammarRun: what the texts of one grammar on one model share.
//
// One thread at a time for a run and all its matchers (the engine's loop). Copies of a matcher are independent texts.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/automaton.h"
#include "grammar/masks.h"
#include "grammar/vocabulary.h"

namespace quern::grammar {

// A text as the model's own tokenizer writes it. May answer with anything: it is checked.
using Encode = std::function<std::vector<int32_t>(std::string_view text)>;

struct GrammarRun {
  GrammarRun(std::shared_ptr<const Ir> ir, std::shared_ptr<const Vocabulary> tokens, Encode tokenize);

  Automaton automaton;
  std::shared_ptr<const Vocabulary> vocabulary;
  Masks masks;
  Encode encode;
  // Its automaton has grown so much that texts to come need another one; any thread may ask.
  std::atomic<bool> worn{false};
};

class Matcher {
 public:
  // Without triggers the grammar holds from the first token on. With some, the text is free until one of them appears;
  // the grammar's text begins with the trigger's first byte.
  Matcher(std::shared_ptr<GrammarRun> run, std::vector<std::string> triggers);

  // The grammar holds: masks apply.
  [[nodiscard]] bool active() const { return active_; }
  // The tokens that may come next, of an active matcher; kInvalidArgument where there is none (the vocabulary cannot
  // write what has to follow), kResource where the grammar is too ambiguous to be followed.
  Result<const std::vector<uint32_t>*> mask();
  // Takes a token that the mask allows; any, where it is not active.
  void accept(int32_t id);
  // The text is complete, nothing may follow.
  [[nodiscard]] bool complete() const;

  // Tokens that have to follow, as the tokenizer writes them; those at whose end the model might want a longer token
  // are left to it. None where there is a choice.
  std::vector<int32_t> forced();
  // The tokens of the shortest end; more than `most` of them or none where it cannot be written: nullopt.
  std::optional<std::vector<int32_t>> shortest_end(size_t most) { return end_from(state_, most); }
  // Whether the text can still end within `most` tokens after this one.
  bool can_end_after(int32_t id, size_t most);
  // Bytes, and so tokens at the most, with which the text can end.
  [[nodiscard]] size_t least_bytes() const { return run_->automaton.least_bytes(state_); }

 private:
  std::optional<std::vector<int32_t>> end_from(Automaton::State state, size_t most);
  std::vector<int32_t> tokens_of(const std::string& text) const;
  void look_for_trigger(std::string_view bytes);

  std::shared_ptr<GrammarRun> run_;
  std::vector<std::string> triggers_;
  bool active_ = false;
  Automaton::State state_ = Automaton::kDead;
  std::string tail_;  // of the free text: what a trigger may begin in
  size_t tail_most_ = 0;
};

}  // namespace quern::grammar
