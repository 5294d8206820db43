// Pre-tokenizers: how a byte-level BPE model cuts text into words before merging.
//
// A model file names its pre-tokenizer (tokenizer.ggml.pre); the names are llama.cpp's, each stands for the expressions
// published in that model's tokenizer.json. A pre-tokenizer is a short chain of stages; a stage cuts each piece that
// the one before it left, matches and the gaps between them alike. The table in pretokenizer_table.cpp has a row for
// each.
//
// Stages are scanners over characters, not regular expressions: all published patterns are built from a few forms
// (stages.h), and scanners are linear on any input, need no step limits that could fail in the middle of a prompt, and
// run at over 100 MB/s. A regex engine (PCRE2) was considered as the fall-back for rare patterns; none remained.
// Pure functions over const tables; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern {

// The end of the piece that starts at `pos` (< text.size()): a match, or the gap before the next match.
using StageFn = size_t (*)(std::string_view text, size_t pos);

struct PreTokenizer {
  static constexpr size_t kMaxStages = 6;

  std::string_view names;  // separated by spaces
  std::array<StageFn, kMaxStages> stages;
  bool ignore_merges = false;  // a word that is a token is taken whole
  bool add_bos = false;        // the default where tokenizer.ggml.add_bos_token is absent
  bool add_sep = false;        // likewise add_sep_token

  // Calls sink(std::string_view) for each word in order; together they are the text.
  template <class Sink>
  void split(std::string_view text, Sink&& sink) const {
    split_from(0, text, sink);
  }

 private:
  template <class Sink>
  void split_from(size_t stage, std::string_view piece, Sink& sink) const {
    if (stage == kMaxStages || stages[stage] == nullptr || piece.size() <= 1) {
      if (!piece.empty()) sink(piece);
      return;
    }
    for (size_t pos = 0; pos < piece.size();) {
      const size_t end = stages[stage](piece, pos);
      split_from(stage + 1, piece.substr(pos, end - pos), sink);
      pos = end;
    }
  }
};

// kUnsupported with the list of known names when the name is unknown. "" and "default" are llama.cpp's generic pattern,
// for files that predate the key.
Result<const PreTokenizer*> find_pretokenizer(std::string_view name);

std::vector<std::string_view> pretokenizer_names();

}  // namespace quern
