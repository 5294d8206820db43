// Grammars: what answers must look like, as requests ask for it. One that was read before is given again, so that what
// an engine has learnt of it is not learnt anew.
//
// Any thread. Errors are those of quern/grammar.h.
#pragma once

#include <list>
#include <mutex>
#include <optional>
#include <string>

#include "quern/grammar.h"
#include "server/body.h"

namespace quern::server {

class Grammars {
 public:
  static constexpr size_t kMost = 64;
  enum class Kind : uint8_t { kJsonObject, kJsonSchema, kRegex, kGbnf };

  Result<Grammar> get(Kind kind, const std::string& source);

 private:
  struct Kept {
    Kind kind;
    std::string source;
    Grammar grammar;
  };
  std::mutex mutex_;
  std::list<Kept> kept_;  // the one used last comes first
};

// OpenAI's response_format: {"type": "text"}, {"type": "json_object"}, {"type": "json_schema", "json_schema": {"name":
// ..., "schema": {...}}}; quern's own are {"type": "regex", "pattern": ...} and {"type": "gbnf", "grammar": ...}.
// `param` is the member's name in errors. A schema is held whether or not it says strict.
std::optional<BodyError> read_response_format(const Json& format, const std::string& param, Grammars& grammars,
                                              Grammar& to);
// `text.format` of the responses API: the same with name and schema not wrapped.
std::optional<BodyError> read_text_format(const Json& format, const std::string& param, Grammars& grammars,
                                          Grammar& to);
// Ollama's `format`: "json", or a schema; "" and null ask for nothing.
std::optional<BodyError> read_ollama_format(const Json& format, Grammars& grammars, Grammar& to);

// JSON schemas of these members.
inline constexpr const char* kResponseFormatSchema =
    R"({"type": ["object", "null"], "required": ["type"], "properties": {
  "type": {"enum": ["text", "json_object", "json_schema", "regex", "gbnf"]},
  "json_schema": {"type": "object", "properties": {"name": {"type": "string"}, "description": {"type": "string"},
    "schema": {"type": "object"}, "strict": {"type": ["boolean", "null"]}}},
  "pattern": {"type": "string"}, "grammar": {"type": "string"}}})";
inline constexpr const char* kTextFormatSchema = R"({"type": ["object", "null"], "properties": {
  "format": {"type": ["object", "null"], "required": ["type"], "properties": {
    "type": {"enum": ["text", "json_object", "json_schema", "regex", "gbnf"]}, "name": {"type": "string"},
    "description": {"type": "string"}, "schema": {"type": "object"}, "strict": {"type": ["boolean", "null"]},
    "pattern": {"type": "string"}, "grammar": {"type": "string"}}},
  "verbosity": {"enum": ["medium", null]}}})";
inline constexpr const char* kOllamaFormatSchema = R"({"anyOf": [{"enum": ["", "json", null]}, {"type": "object"}]})";

}  // namespace quern::server
