// CallReader: reads the calls of one family from its opener on, byte by byte. What has been read goes to a CallSink at
// once; where the text stops being a call the reader says so, and who fed it decides what becomes of the bytes.
// Every byte is looked at a bounded number of times.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "chat/tools/family.h"
#include "chat/tools/json_calls.h"

namespace quern::tools {

// The first run of bytes that are no white space; empty where there is none.
std::string_view first_word(std::string_view text);

// The text at which calls of the family begin.
std::string opener_of(const Family& family);

class CallReader {
 public:
  enum class State : uint8_t {
    kMore,
    kDone,        // the byte was the last of the calls
    kDoneBefore,  // the calls ended before the last unread() bytes
    kFailed,      // no call, from the end of the last whole one on; unread() bytes may begin something else
  };

  CallReader(const Family& family, const ToolSet& tools, CallSink& sink);
  State feed(char c);
  // The text ends here: kDone when no call is cut off, else kFailed.
  State finish();
  [[nodiscard]] size_t unread() const { return unread_; }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  static constexpr size_t kMaxName = 160, kMaxKey = 256, kMaxSkip = 80;
  enum class OpKind : uint8_t {
    kText,
    kName,
    kSecondName,
    kId,
    kSkip,
    kCalls,
    kJson,
    kParameters,
    kBareLiteral,
    kPython,
    kAgain,
    kEnd
  };
  struct Op {
    OpKind kind;
    std::string text = {};
    bool optional = false;
  };
  struct Candidate {
    std::string_view text;
    size_t to;
  };
  enum class ParameterState : uint8_t { kNone, kKey, kType, kBeforeValue, kValue };

  void compile(const Family& family);
  void add_texts(std::string text, bool optional);
  void expect(size_t op);
  State match(char c);
  State enter(size_t op);
  State begin_op(char c);
  State feed_op(char c);
  State fail(std::string problem);
  State stop();

  State in_name(char c);
  State in_calls(char c);
  State in_json(char c);
  State in_bare_literal(char c);
  State in_python(char c);
  State in_parameters(char c);
  State parameter_ended();
  State python_call_ended();
  State python_line_ended();
  bool begin_call(std::string_view name);
  void end_call();
  [[nodiscard]] bool text_ends_with(std::string_view end) const { return std::string_view(text_).ends_with(end); }

  const Family& family_;
  const ToolSet& tools_;
  CallSink& sink_;
  std::vector<Op> ops_;
  size_t first_call_op_ = 0;

  // Either the texts that may come next are being matched, or the operation at op_ takes the bytes.
  bool matching_ = true;
  std::vector<Candidate> candidates_;
  size_t fallback_ = 0;  // the operation that may begin in place of a text; ops_.size(): none
  std::string lit_;      // what has been matched so far
  size_t blank_ = 0;     // white space before it
  size_t op_ = 0;
  size_t unread_ = 0;
  std::string problem_;

  bool in_call_ = false;
  size_t calls_ = 0;
  const Tool* tool_ = nullptr;
  std::string name_, id_, text_;
  JsonScanner scanner_;
  std::unique_ptr<JsonCalls> json_;
  ParameterState parameter_ = ParameterState::kNone;
  std::string key_;
  bool is_text_ = false;  // the parameter is said to be a string
  std::set<std::string> keys_;
  char quote_ = 0;
  bool escaped_ = false;
  size_t depth_ = 0;
  enum class Python : uint8_t { kStart, kName, kArguments, kLineEnd, kAfter } python_ = Python::kStart;
  bool bracket_ = false;
};

}  // namespace quern::tools
