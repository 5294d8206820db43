// The forms of stage that published pre-tokenizer expressions consist of, as templates over character predicates.
//
// Each takes a text and a position inside it, and returns the end of the match there, or of the gap before the next
// match (a stage never sees a gap's end twice, so that a text costs linear time). The text's ends are the piece's ends,
// for look-ahead too. Contracts and threads: see pretokenizer.h.
#pragma once

#include "text/unicode.h"

namespace quern::stages {

using CharPredicate = bool (*)(const ClassifiedChar&);

// Calls match(pos) at each character from `pos`; a match is longer than zero.
template <class Match>
size_t match_or_gap(std::string_view text, size_t pos, Match&& match) {
  if (const size_t end = match(pos); end > pos) return end;
  for (pos += classify_at(text, pos).len; pos < text.size(); pos += classify_at(text, pos).len) {
    if (match(pos) > pos) return pos;
  }
  return text.size();
}

template <class Predicate>
size_t skip_while(std::string_view text, size_t pos, Predicate&& in) {
  for (ClassifiedChar c = classify_at(text, pos); c.len != 0 && in(c); c = classify_at(text, pos)) pos += c.len;
  return pos;
}

// X{1,Max} without a class before it; Max 0 is X+.
template <CharPredicate X, int Max>
size_t run(std::string_view text, size_t pos) {
  return match_or_gap(text, pos, [&](size_t p) {
    int count = 0;
    return skip_while(text, p, [&](const ClassifiedChar& c) { return (Max == 0 || count++ < Max) && X(c); });
  });
}

// Space?X+ where Space and X may overlap.
template <CharPredicate Space, CharPredicate X>
size_t spaced_run(std::string_view text, size_t pos) {
  return match_or_gap(text, pos, [&](size_t p) {
    const ClassifiedChar c = classify_at(text, p);
    const size_t begin = X(c) ? p : Space(c) ? p + c.len : text.size();
    const size_t end = skip_while(text, begin, X);
    return end > begin ? end : p;
  });
}

// A+|B+|...: runs of one kind; Kind gives 0 for characters of none.
template <int (*Kind)(const ClassifiedChar&)>
size_t kind_run(std::string_view text, size_t pos) {
  return match_or_gap(text, pos, [&](size_t p) {
    const int kind = Kind(classify_at(text, p));
    return kind == 0 ? p : skip_while(text, p, [&](const ClassifiedChar& c) { return Kind(c) == kind; });
  });
}

// gpt-2: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t gpt2(std::string_view text, size_t pos);

// [0-9][0-9][0-9]
size_t ascii_digit_triple(std::string_view text, size_t pos);

// Groups of three decimal digits counted from the right end of a run: superbpe's (?=(\d{3})+(?!\d)), afmoe's digits.
size_t digits_from_right(std::string_view text, size_t pos);

// \d{1,3}(?=(?:\d{3})*\b): the same where a word boundary follows the run, else nothing.
size_t digits_from_right_before_boundary(std::string_view text, size_t pos);

// \s+$ at the end of the piece.
size_t trailing_space(std::string_view text, size_t pos);

// [\t\n]|    |  (chameleon's indents)
size_t indent(std::string_view text, size_t pos);

// What may follow a run of punctuation within the same word.
enum class Tail { kNone, kNewlines /* [\r\n]* */, kNewlinesSlash /* [\r\n/]* */, kOneNewlineSlash /* [\r\n/]? */ };

enum class Words {
  kPlain,   // [^\r\n\p{L}\p{N}]?\p{L}+
  kMarked,  // [^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+, and punctuation without \p{M}
  kJoined,  // [^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+
  // [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+, or the same with + and *
  kCased,
  kCasedHan,  // kCased, but Han ideographs make words of their own (\p{Han}+)
  // [ascii punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+, and punctuation is [\p{P}\p{S}]
  kDeepSeek3,
};

// The family that began with llama-3 (cl100k) and gpt-4o (o200k):
//   contraction | word | \p{N}{1,digits} | ?[^\s\p{L}\p{N}]+tail | \s*[\r\n]+ | \s+(?!\S) | \s+
// where a contraction is (?i:'s|'t|'re|'ve|'m|'ll|'d), before the words or at the end of them.
struct WordRules {
  Words words = Words::kPlain;
  bool contraction_first = true;
  bool contraction_last = false;
  int digits = 0;  // 0 no limit
  Tail tail = Tail::kNewlines;
  bool halving_space = false;  // jais-2: runs of white space fall into 512, 256, ... 4, then 2 and 1
};

size_t match_word(const WordRules& rules, std::string_view text, size_t pos);

template <WordRules Rules>
size_t words(std::string_view text, size_t pos) {
  return match_or_gap(text, pos, [&](size_t p) { return match_word(Rules, text, p); });
}

}  // namespace quern::stages
