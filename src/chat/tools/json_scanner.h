// JsonScanner: checks one JSON value as its bytes come, one at a time, and says where it ends. RFC 8259, nesting
// bounded. It keeps no text. Bytes above 0x7F are taken within strings; whether they are UTF-8 is for who reads the
// value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace quern::tools {

inline bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

class JsonScanner {
 public:
  static constexpr size_t kMaxDepth = 128;
  enum class State : uint8_t {
    kMore,
    kDone,        // the byte ended the value
    kDoneBefore,  // the value, a number, ended before the byte
    kFailed,
  };

  void reset() { *this = JsonScanner(); }
  // White space before the value is taken.
  State feed(char c);

 private:
  enum class Expect : uint8_t { kValue, kValueOrEnd, kKeyOrEnd, kKey, kColon, kCommaOrEnd, kString, kWord, kNumber };
  State close(char open);
  State in_string(char c);
  State in_number(char c);
  State in_word(char c);
  State begin_value(char c);
  State value_ended() {
    expect_ = Expect::kCommaOrEnd;
    return open_.empty() ? State::kDone : State::kMore;
  }

  Expect expect_ = Expect::kValue;
  bool key_ = false, escaped_ = false;  // of the string that is being read
  uint8_t hex_digits_ = 0;              // of \u that are still to come
  uint8_t number_ = 0;                  // where in a number, see in_number()
  std::string_view word_;               // what is left of true, false, null
  std::string open_;                    // '{' and '['
};

// Whether the text is one JSON value, white space around it allowed.
bool is_json(std::string_view text);

}  // namespace quern::tools
