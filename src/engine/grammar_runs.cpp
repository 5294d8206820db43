#include "engine/grammar_runs.h"

#include <algorithm>

#include "grammar/internals.h"

namespace quern {
namespace {

// What a token writes into a text, as the grammar sees it. Tokens that stand for no text have none.
std::string grammar_bytes(const Tokenizer& tokenizer, int32_t id) {
  switch (tokenizer.type(id)) {
    case TokenType::kControl:
      return static_cast<char>(grammar::kSpecialByte) + std::string(tokenizer.piece(id, true));
    case TokenType::kNormal:
    case TokenType::kUserDefined:
    case TokenType::kByte: {
      std::string bytes(tokenizer.piece(id, false));
      // No UTF-8 holds that byte; here it would pass for the beginning of a special token.
      return bytes.find(static_cast<char>(grammar::kSpecialByte)) == std::string::npos ? bytes : std::string();
    }
    default:
      return {};
  }
}

}  // namespace

std::shared_ptr<const grammar::Vocabulary> GrammarRuns::vocabulary() {
  if (vocabulary_ == nullptr) {
    vocabulary_ = std::make_shared<const grammar::Vocabulary>(
        n_vocab_, [this](int32_t id) { return grammar_bytes(tokenizer_, id); }, tokenizer_.eog_ids());
  }
  return vocabulary_;
}

std::shared_ptr<grammar::GrammarRun> GrammarRuns::get(const Grammar& grammar) {
  const auto& ir = GrammarInternals::ir(grammar);
  const std::lock_guard lock(mutex_);
  const auto known = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& k) { return k.ir == ir; });
  if (known != kept_.end() && known->run->worn) {
    kept_.erase(known);  // those that follow it go on
  } else if (known != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, known);
    return kept_.front().run;
  }
  auto run = std::make_shared<grammar::GrammarRun>(ir, vocabulary(), [this](std::string_view text) {
    return tokenizer_.encode(text, {.add_special = false, .parse_special = false});
  });
  kept_.push_front({ir, run});
  if (kept_.size() > kMost) kept_.pop_back();
  return run;
}

}  // namespace quern
