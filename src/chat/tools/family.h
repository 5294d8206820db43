// Family: how one family of models writes its calls, as a row of data. The reader (call_reader.h), the grammar
// (tool_grammar.h) and the writer (call_writer.h) all go by the row, so that what one writes the other reads.
//
// A new family is a file in families/ and a row in families.cpp. Constant data; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace quern::tools {

enum class Part : uint8_t {
  kText,          // `text`; white space at its ends and before it is written but not asked for
  kName,          // the tool's
  kNumberedName,  // functions.NAME:0, which is the call's id too
  kSecondName,    // read only: the name, if another one follows what was taken for it
  kId,            // nine letters and digits
  kSkip,          // read only: anything up to the next text, 80 bytes at most
  kObject,        // {"name": .., "arguments": ..}, by Family::keys
  kArray,         // all calls, as such objects, in one array, by Family::array
  kJson,          // the arguments, as a JSON object
  kParameters,    // the arguments, each by itself, by Family::parameters
  kBareLiteral,   // the arguments, {key:value} with bare keys and <|"|> around text
  kPython,        // all calls, [f(a=1), g(b="x")]; read without the brackets too
};

struct Step {
  Part part = Part::kText;
  std::string_view text = {};
  bool optional = false;  // the reader goes on without it
  bool written = true;
};

// <parameter=KEY>VALUE</parameter>
struct ParameterSyntax {
  std::string_view before_key, after_key;
  std::string_view before_value, after_value;
  std::string_view lead, tail;  // line breaks that are written around a value and are no part of it
  std::string_view between;     // before each parameter
  bool typed = false;           // between after_key and before_value stands true or false: is it a string
};

struct JsonKeys {
  std::string_view name = "name", arguments = "arguments";
  std::string_view id = {};  // written first, with the call's number
  bool name_is_key = false;  // {"get_weather": {..}}
};

struct ArraySyntax {
  std::string_view begin = "[", between = ", ", end = "]";
};

// Where a call may begin.
enum class Where : uint8_t { kAnywhere, kLineStart, kReplyStart };

struct Family {
  std::string_view name;
  // Whether a template with this source is of the family; null: never told by the source.
  bool (*speaks)(std::string_view source) = nullptr;
  std::span<const Step> begin = {}, call = {}, end = {};  // `begin` and `end` around all calls of a reply
  std::string_view between = {};                          // two calls
  // The text at which the reader starts; where it is not set the first text of `begin`, else of `call`, up to white
  // space.
  std::string_view opener = {};
  // Written before the first call where a reply must be one: what a model says before the opener.
  std::string_view before_first = {};
  Where where = Where::kAnywhere;
  bool quiet = false;         // what begins like a call and is none is plain text, no problem to tell
  bool single = false;        // a reply has one call at most
  bool nine_ids = false;      // its template takes only ids of nine letters and digits
  bool python_types = false;  // its template writes Python types and fails where a schema leaves them open
  bool variables = false;     // its template reads the tools and the time from `functions` and `datetime`
  JsonKeys keys = {};
  ArraySyntax array = {};
  const ParameterSyntax* parameters = nullptr;
  std::span<const Family* const> also = {};         // rows that are read along with this one
  std::span<const std::string_view> specials = {};  // texts of its special tokens
  std::span<const std::string_view> dropped = {};   // markers that frame text and say nothing
};

// In the order in which speaks() is asked; the last is the format for templates that know no tools.
std::span<const Family* const> families();
// What models without a format write, or with another than theirs: fenced or bare JSON, name(arg=1).
std::span<const Family* const> plain_families();
const Family& generic_family();

// Where a family's reasoning stands.
struct ReasoningMarks {
  std::string_view open, close;
  bool anywhere = false;  // not only at the beginning of a reply
};
// By the template's source; <think> where it names none.
const ReasoningMarks& reasoning_marks(std::string_view source);
const ReasoningMarks& default_reasoning();

inline bool has(std::string_view source, std::string_view text) {
  return source.find(text) != std::string_view::npos;
}

}  // namespace quern::tools
