#include "text/stages.h"

namespace quern::stages {
namespace {

bool is_newline(uint32_t cp) {
  return cp == '\r' || cp == '\n';
}

uint32_t ascii_lower(uint32_t cp) {
  return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
}

bool is_ascii_letter(const ClassifiedChar& c) {
  return c.cp < 128 && c.is(kLetter);
}

// The end of a contraction at `pos`, or pos.
size_t contraction(std::string_view text, size_t pos, bool any_case) {
  if (text[pos] != '\'') return pos;
  const auto at = [&](size_t i) {
    const uint32_t cp = pos + i < text.size() ? static_cast<uint8_t>(text[pos + i]) : kEndOfText;
    return any_case ? ascii_lower(cp) : cp;
  };
  const uint32_t a = at(1), b = at(2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return pos + 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return pos + 3;
  return pos;
}

// \s+(?!\S)|\s+ : a run of white space leaves its last character to the word that follows it.
size_t white_space(std::string_view text, size_t pos) {
  size_t end = pos, last = pos;
  for (ClassifiedChar c = classify_at(text, pos); c.is(kSpace); c = classify_at(text, end)) {
    last = end;
    end += c.len;
  }
  return end == text.size() || last == pos ? end : last;
}

// \s*[\r\n]+ : up to the last line end of a run of white space, or pos where there is none.
size_t white_space_to_newline(std::string_view text, size_t pos) {
  size_t end = pos;
  for (ClassifiedChar c = classify_at(text, pos); c.is(kSpace); c = classify_at(text, pos)) {
    pos += c.len;
    if (is_newline(c.cp)) end = pos;
  }
  return end;
}

// \s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s
size_t halving_white_space(std::string_view text, size_t pos) {
  size_t ends[513] = {pos};
  size_t count = 0;
  while (count < 512 && classify_at(text, ends[count]).is(kSpace)) {
    ends[count + 1] = ends[count] + classify_at(text, ends[count]).len;
    ++count;
  }
  for (size_t take = 512; take >= 1; take /= 2) {
    if (take > count) continue;
    const ClassifiedChar after = classify_at(text, ends[take]);
    if (after.len == 0 || after.is(kSpace)) return ends[take];
  }
  return ends[count > 0 ? 1 : 0];
}

size_t run_of(std::string_view text, size_t pos, uint8_t classes) {
  return skip_while(text, pos, [=](const ClassifiedChar& c) { return c.is(classes); });
}

// One of the two orders of a cased word: upper*lower+, else upper+lower*; letters without case and marks are both.
// Greedy with backtracking, as a regular expression would match, in linear time.
size_t cased_word(std::string_view text, size_t pos, bool without_han) {
  const auto joins = [=](const ClassifiedChar& c, uint8_t wrong_case) {
    return c.is(kLetter | kMark) && !c.is(wrong_case) && !(without_han && unicode_is_han(c.cp));
  };
  const size_t none = pos;
  size_t end = pos, caseless_end = pos;
  for (ClassifiedChar c = classify_at(text, pos); joins(c, kLower); c = classify_at(text, end)) {
    end += c.len;
    if (!c.is(kUpper)) caseless_end = end;
  }
  const size_t lower_end = skip_while(text, end, [&](const ClassifiedChar& c) { return joins(c, kUpper); });
  if (lower_end > end) return lower_end;
  if (caseless_end > pos) return caseless_end;  // upper* gives back to the last character that lower+ can take
  return end > pos ? end : none;
}

size_t joined_word(std::string_view text, size_t pos) {
  for (;;) {
    const ClassifiedChar c = classify_at(text, pos);
    if (!c.is(kLetter)) return pos;
    pos = run_of(text, pos + c.len, kMark);
    if (classify_at(text, pos).cp == ' ' && classify_at(text, pos + 1).is(kLetter)) ++pos;
  }
}

// The letters of a word without what may precede them; pos when there are none.
size_t word_body(const WordRules& rules, std::string_view text, size_t pos) {
  switch (rules.words) {
    case Words::kPlain:
      return run_of(text, pos, kLetter);
    case Words::kMarked:
    case Words::kDeepSeek3:
      return run_of(text, pos, kLetter | kMark);
    case Words::kJoined:
      return joined_word(text, pos);
    case Words::kCased:
      return cased_word(text, pos, false);
    case Words::kCasedHan:
      return cased_word(text, pos, true);
  }
  return pos;
}

size_t word(const WordRules& rules, std::string_view text, size_t pos, const ClassifiedChar& c) {
  const bool deepseek3 = rules.words == Words::kDeepSeek3;
  const uint8_t no_prefix = deepseek3 ? kLetter | kPunct | kSymbol : kLetter | kNumber;
  size_t end = pos;
  if (c.is_not(no_prefix) && !is_newline(c.cp)) {
    end = word_body(rules, text, pos + c.len);
    if (end == pos + c.len) end = pos;
  }
  if (end == pos) end = word_body(rules, text, pos);
  if (end > pos && rules.contraction_last && end < text.size()) end = contraction(text, end, true);
  return end;
}

size_t number(const WordRules& rules, std::string_view text, size_t pos) {
  int count = 0;
  return skip_while(text, pos, [&](const ClassifiedChar& c) {
    return (rules.digits == 0 || count++ < rules.digits) && c.is(kNumber);
  });
}

// ' ?X+tail', or pos.
size_t punctuation(const WordRules& rules, std::string_view text, size_t pos, const ClassifiedChar& c) {
  const bool deepseek3 = rules.words == Words::kDeepSeek3;
  const uint8_t excluded = kSpace | kLetter | kNumber | (rules.words == Words::kMarked ? kMark : 0);
  const auto in = [=](const ClassifiedChar& x) { return deepseek3 ? x.is(kPunct | kSymbol) : x.is_not(excluded); };
  const size_t begin = c.cp == ' ' ? pos + 1 : pos;
  size_t end = skip_while(text, begin, in);
  if (end == begin) return pos;
  const auto tail = [&](bool slash) {
    return end < text.size() && (is_newline(static_cast<uint8_t>(text[end])) || (slash && text[end] == '/'));
  };
  switch (rules.tail) {
    case Tail::kNone:
      break;
    case Tail::kNewlines:
      while (tail(false)) ++end;
      break;
    case Tail::kNewlinesSlash:
      while (tail(true)) ++end;
      break;
    case Tail::kOneNewlineSlash:
      if (tail(true)) ++end;
      break;
  }
  return end;
}

// The end of the run of decimal digits at `pos`, and their number.
struct DigitRun {
  size_t end;
  size_t count;
};
DigitRun digit_run(std::string_view text, size_t pos) {
  size_t count = 0;
  const size_t end = skip_while(text, pos, [&](const ClassifiedChar& c) {
    const bool digit = c.is(kNumber) && unicode_is_decimal(c.cp);
    count += digit ? 1 : 0;
    return digit;
  });
  return {end, count};
}

// Whether `pos` is inside a run of digits. Stages are called from left to right, so that such a run has been measured
// at its start; measuring it again at every group would take quadratic time.
bool inside_digits(std::string_view text, size_t pos) {
  size_t before = pos;
  while (before > 0 && pos - before < 4 && (static_cast<uint8_t>(text[--before]) & 0xC0) == 0x80) {
  }
  const auto decimal = [](const ClassifiedChar& c) { return c.is(kNumber) && unicode_is_decimal(c.cp); };
  const ClassifiedChar last = classify_at(text, before);
  return before < pos && before + last.len == pos && decimal(last) && decimal(classify_at(text, pos));
}

size_t advance(std::string_view text, size_t pos, size_t chars) {
  while (chars-- > 0) pos += classify_at(text, pos).len;
  return pos;
}

}  // namespace

size_t gpt2(std::string_view text, size_t pos) {
  if (const size_t end = contraction(text, pos, false); end > pos) return end;
  const ClassifiedChar c = classify_at(text, pos);
  const size_t begin = c.cp == ' ' ? pos + 1 : pos;
  const ClassifiedChar first = begin == pos ? c : classify_at(text, begin);
  if (first.is(kLetter)) return run_of(text, begin + first.len, kLetter);
  if (first.is(kNumber)) return run_of(text, begin + first.len, kNumber);
  if (first.is_not(kSpace)) {
    return skip_while(text, begin, [](const ClassifiedChar& x) { return x.is_not(kSpace | kLetter | kNumber); });
  }
  return white_space(text, pos);
}

size_t ascii_digit_triple(std::string_view text, size_t pos) {
  return match_or_gap(text, pos, [&](size_t p) {
    const auto digit = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
    return digit(p) && digit(p + 1) && digit(p + 2) ? p + 3 : p;
  });
}

size_t digits_from_right(std::string_view text, size_t pos) {
  if (inside_digits(text, pos)) return advance(text, pos, 3);
  const DigitRun digits = digit_run(text, pos);
  if (digits.count == 0) {
    return match_or_gap(text, pos, [&](size_t p) { return digit_run(text, p).end; });
  }
  return advance(text, pos, digits.count % 3 != 0 ? digits.count % 3 : 3);
}

size_t digits_from_right_before_boundary(std::string_view text, size_t pos) {
  const auto bounded = [&](const DigitRun& digits) {
    const ClassifiedChar next = classify_at(text, digits.end);
    return digits.count > 0 && !next.is(kLetter | kNumber | kMark) && next.cp != '_';
  };
  if (inside_digits(text, pos)) return advance(text, pos, 3);
  const DigitRun first = digit_run(text, pos);
  if (bounded(first)) return advance(text, pos, first.count % 3 != 0 ? first.count % 3 : 3);
  // A gap ends where a run begins that a boundary follows; whole runs are skipped, so that the scan is linear.
  size_t p = first.count > 0 ? first.end : advance(text, pos, 1);
  while (p < text.size()) {
    const DigitRun digits = digit_run(text, p);
    if (bounded(digits)) return p;
    p = digits.count > 0 ? digits.end : advance(text, p, 1);
  }
  return text.size();
}

size_t trailing_space(std::string_view text, size_t pos) {
  size_t begin = pos;
  for (size_t p = pos; p < text.size();) {
    const ClassifiedChar c = classify_at(text, p);
    p += c.len;
    if (!c.is(kSpace)) begin = p;
  }
  return begin == pos ? text.size() : begin;
}

size_t indent(std::string_view text, size_t pos) {
  return match_or_gap(text, pos, [&](size_t p) {
    if (text[p] == '\t' || text[p] == '\n') return p + 1;
    if (text.substr(p, 4) == "    ") return p + 4;
    return text.substr(p, 2) == "  " ? p + 2 : p;
  });
}

size_t match_word(const WordRules& rules, std::string_view text, size_t pos) {
  const ClassifiedChar c = classify_at(text, pos);
  if (rules.contraction_first) {
    if (const size_t end = contraction(text, pos, true); end > pos) return end;
  }
  if (rules.words == Words::kCasedHan && unicode_is_han(c.cp)) {
    return skip_while(text, pos, [](const ClassifiedChar& x) { return unicode_is_han(x.cp); });
  }
  if (rules.words == Words::kDeepSeek3 && c.cp < 128 && c.is(kPunct | kSymbol)) {
    if (const size_t end = skip_while(text, pos + 1, is_ascii_letter); end > pos + 1) return end;
  }
  if (const size_t end = word(rules, text, pos, c); end > pos) return end;
  if (c.is(kNumber)) return rules.words == Words::kDeepSeek3 ? pos : number(rules, text, pos);
  if (const size_t end = punctuation(rules, text, pos, c); end > pos) return end;
  if (!c.is(kSpace)) return pos;
  if (const size_t end = white_space_to_newline(text, pos); end > pos) return end;
  return rules.halving_space ? halving_white_space(text, pos) : white_space(text, pos);
}

}  // namespace quern::stages
