#include "chat/tools/json_scanner.h"

namespace quern::tools {
namespace {

enum Number : uint8_t { kSign, kZero, kDigits, kPoint, kFraction, kE, kESign, kExponent };

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

}  // namespace

JsonScanner::State JsonScanner::begin_value(char c) {
  switch (c) {
    case '{':
    case '[':
      if (open_.size() >= kMaxDepth) return State::kFailed;
      open_.push_back(c);
      expect_ = c == '{' ? Expect::kKeyOrEnd : Expect::kValueOrEnd;
      return State::kMore;
    case '"':
      expect_ = Expect::kString;
      key_ = false;
      return State::kMore;
    case 't':
      word_ = "rue";
      break;
    case 'f':
      word_ = "alse";
      break;
    case 'n':
      word_ = "ull";
      break;
    default:
      if (c != '-' && !is_digit(c)) return State::kFailed;
      number_ = c == '-' ? kSign : c == '0' ? kZero : kDigits;
      expect_ = Expect::kNumber;
      return State::kMore;
  }
  expect_ = Expect::kWord;
  return State::kMore;
}

JsonScanner::State JsonScanner::close(char open) {
  if (open_.empty() || open_.back() != open) return State::kFailed;
  open_.pop_back();
  return value_ended();
}

JsonScanner::State JsonScanner::in_string(char c) {
  if (hex_digits_ > 0) {
    --hex_digits_;
    return is_hex(c) ? State::kMore : State::kFailed;
  }
  if (escaped_) {
    escaped_ = false;
    if (c == 'u') hex_digits_ = 4;
    return std::string_view("\"\\/bfnrtu").find(c) != std::string_view::npos ? State::kMore : State::kFailed;
  }
  if (c == '\\') {
    escaped_ = true;
    return State::kMore;
  }
  if (c != '"') return static_cast<unsigned char>(c) < 0x20 ? State::kFailed : State::kMore;
  if (!key_) return value_ended();
  expect_ = Expect::kColon;
  return State::kMore;
}

JsonScanner::State JsonScanner::in_number(char c) {
  const auto go = [&](Number to) {
    number_ = to;
    return State::kMore;
  };
  switch (number_) {
    case kSign:
      if (!is_digit(c)) return State::kFailed;
      return go(c == '0' ? kZero : kDigits);
    case kPoint:
      return is_digit(c) ? go(kFraction) : State::kFailed;
    case kE:
      if (c == '+' || c == '-') return go(kESign);
      [[fallthrough]];
    case kESign:
      return is_digit(c) ? go(kExponent) : State::kFailed;
    case kZero:
    case kDigits:
      if (number_ == kDigits && is_digit(c)) return State::kMore;
      if (c == '.') return go(kPoint);
      if (c == 'e' || c == 'E') return go(kE);
      break;
    case kFraction:
      if (is_digit(c)) return State::kMore;
      if (c == 'e' || c == 'E') return go(kE);
      break;
    default:
      if (is_digit(c)) return State::kMore;
  }
  expect_ = Expect::kCommaOrEnd;
  return open_.empty() ? State::kDoneBefore : feed(c);
}

JsonScanner::State JsonScanner::in_word(char c) {
  if (c != word_.front()) return State::kFailed;
  word_.remove_prefix(1);
  return word_.empty() ? value_ended() : State::kMore;
}

JsonScanner::State JsonScanner::feed(char c) {
  if (expect_ == Expect::kString) return in_string(c);
  if (expect_ == Expect::kNumber) return in_number(c);
  if (expect_ == Expect::kWord) return in_word(c);
  if (is_space(c)) return State::kMore;
  switch (expect_) {
    case Expect::kValueOrEnd:
      if (c == ']') return close('[');
      [[fallthrough]];
    case Expect::kValue:
      return begin_value(c);
    case Expect::kKeyOrEnd:
      if (c == '}') return close('{');
      [[fallthrough]];
    case Expect::kKey:
      if (c != '"') return State::kFailed;
      expect_ = Expect::kString;
      key_ = true;
      return State::kMore;
    case Expect::kColon:
      if (c != ':') return State::kFailed;
      expect_ = Expect::kValue;
      return State::kMore;
    default:
      break;
  }
  if (open_.empty()) return State::kFailed;  // bytes after the value
  if (c == ']') return close('[');
  if (c == '}') return close('{');
  if (c != ',') return State::kFailed;
  expect_ = open_.back() == '{' ? Expect::kKey : Expect::kValue;
  return State::kMore;
}

bool is_json(std::string_view text) {
  JsonScanner scanner;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto state = scanner.feed(text[i]);
    if (state == JsonScanner::State::kFailed) return false;
    if (state == JsonScanner::State::kMore) continue;
    i += state == JsonScanner::State::kDone ? 1 : 0;
    while (i < text.size() && is_space(text[i])) ++i;
    return i == text.size();
  }
  return scanner.feed(' ') == JsonScanner::State::kDoneBefore;  // a number
}

}  // namespace quern::tools
