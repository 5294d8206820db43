// GrammarRuns: the grammars that requests of one model are under, each followed by one automaton. get() may be called
// by any thread; what it gives belongs to the loop's.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "grammar/matcher.h"
#include "quern/grammar.h"
#include "text/tokenizer.h"

namespace quern {

class GrammarRuns {
 public:
  static constexpr size_t kMost = 32;  // kept after their last request

  GrammarRuns(const Tokenizer& tokenizer, size_t n_vocab) : tokenizer_(tokenizer), n_vocab_(n_vocab) {}

  // The first call for a model makes its vocabulary: 0.2 s for 262,144 tokens.
  std::shared_ptr<grammar::GrammarRun> get(const Grammar& grammar);

 private:
  std::shared_ptr<const grammar::Vocabulary> vocabulary();

  const Tokenizer& tokenizer_;
  const size_t n_vocab_;
  std::mutex mutex_;
  std::shared_ptr<const grammar::Vocabulary> vocabulary_;
  struct Kept {
    std::shared_ptr<const grammar::Ir> ir;
    std::shared_ptr<grammar::GrammarRun> run;
  };
  std::list<Kept> kept_;  // the one used last comes first
};

}  // namespace quern
