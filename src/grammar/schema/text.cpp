#include "grammar/schema/text.h"

#include "grammar/number_range.h"

namespace quern::grammar::schema {
namespace {

constexpr size_t kMaxIndent = 20;

// One character of a string: as it is, or as an escape. \u only of whole characters: of halves of surrogate pairs both.
Symbol character(IrBuilder& to) {
  constexpr IrBuilder::Range kEscaped[] = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
  ByteSet letters, hex = ByteSet::range('0', '9') | ByteSet::range('a', 'f') | ByteSet::range('A', 'F');
  for (const char c : {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'}) letters |= ByteSet::one(static_cast<uint8_t>(c));
  const ByteSet d = ByteSet::one('d') | ByteSet::one('D');
  const Symbol digit = to.bytes(hex);
  const Symbol code = to.choice({to.sequence({to.bytes(hex & ~d), digit, digit, digit}),
                                 to.sequence({to.bytes(d), to.bytes(ByteSet::range('0', '7')), digit, digit})});
  const ByteSet low = ByteSet::range('c', 'f') | ByteSet::range('C', 'F');
  const ByteSet high = ByteSet::range('8', '9') | ByteSet::range('a', 'b') | ByteSet::range('A', 'B');
  const Symbol pair = to.sequence(
      {to.bytes(d), to.bytes(high), digit, digit, to.literal("\\u"), to.bytes(d), to.bytes(low), digit, digit});
  const Symbol escape =
      to.choice({to.bytes(letters), to.sequence({to.literal("u"), code}), to.sequence({to.literal("u"), pair})});
  return to.choice({to.characters(kEscaped, /*negated=*/true), to.sequence({to.literal("\\"), escape})});
}

}  // namespace

JsonText::JsonText(const JsonOptions& options, IrBuilder& to) : to_(to) {
  const Symbol one = options.white_space ? to.optional(to.literal(" ")) : to.empty();
  space_ = one;
  if (options.white_space) {
    const Symbol blank = to.bytes(ByteSet::one(' ') | ByteSet::one('\t'));
    space_ = to.choice({one, to.sequence({to.literal("\n"), to.repeat(blank, 0, kMaxIndent)})});
  }
  comma_ = to.sequence({to.literal(","), space_});
  colon_ = to.sequence({to.literal(":"), one});
  character_ = character(to);
  string_ = to.sequence({to.literal("\""), to.repeat(character_, 0, IrBuilder::kUnbounded), to.literal("\"")});
  at_most_.push_back(to.literal("\""));
}

Symbol JsonText::never() {
  if (!never_) never_ = to_.rule();
  return *never_;
}

// Up to so many characters and the closing quote.
Symbol JsonText::at_most(size_t characters) {
  while (at_most_.size() <= characters) {
    const Symbol rule = to_.rule();
    to_.add(rule, {at_most_.front()});
    to_.add(rule, {character_, at_most_.back()});
    at_most_.push_back(rule);
  }
  return at_most_[characters];
}

Symbol JsonText::string(size_t least, size_t most) {
  if (most < least) return never();
  if (least == 0 && most == IrBuilder::kUnbounded) return string_;
  const auto [at, fresh] = bounded_.try_emplace({least, most});
  if (!fresh) return at->second;
  const Symbol begin = to_.literal("\"");
  const Symbol rest = most == IrBuilder::kUnbounded
                          ? to_.sequence({to_.repeat(character_, 0, IrBuilder::kUnbounded), to_.literal("\"")})
                          : at_most(std::min(most - least, kMaxChosenLength));
  return at->second = to_.sequence({begin, to_.repeat(character_, least, least), rest});
}

// "[]", or items with commas between them.
Symbol JsonText::bracketed(char open, Symbol item, char close) {
  const Symbol more = to_.repeat(to_.sequence({comma_, item}), 0, IrBuilder::kUnbounded);
  const Symbol begin = to_.literal({&open, 1}), end = to_.literal({&close, 1});
  return to_.choice({to_.sequence({begin, end}), to_.sequence({begin, space_, item, more, space_, end})});
}

Symbol JsonText::any_within(size_t depth) {
  if (!scalar_) {
    scalar_ = to_.choice({to_.literal("null"), to_.literal("true"), to_.literal("false"), add_number(to_), string_});
    any_.push_back(*scalar_);
  }
  while (any_.size() <= depth) {
    const Symbol inner = any_.back();
    any_.push_back(to_.choice({*scalar_, bracketed('[', inner, ']'), object_within(any_.size())}));
  }
  return any_[depth];
}

Symbol JsonText::object_within(size_t depth) {
  any_within(depth - 1);
  while (object_.size() < depth) object_.push_back(bracketed('{', pair(string_, any_[object_.size()]), '}'));
  return object_[depth - 1];
}

}  // namespace quern::grammar::schema
