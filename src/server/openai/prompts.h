// The texts of a request that takes one or several, each as a string or as token ids: the completions' `prompt` and the
// embeddings' `input`. Pure; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/body.h"

namespace quern::server {

struct TextOrIds {
  std::optional<std::string> text;
  std::vector<int32_t> ids;  // where there is no text
};

// `value`, the member of that name, is a string, an array of strings, of ids, or of arrays of ids; at most `most` texts
// and ids below n_vocab.
std::optional<BodyError> read_texts(const Json& value, const std::string& name, size_t most, size_t n_vocab,
                                    std::vector<TextOrIds>& to);

inline constexpr const char* kTextsSchema = R"({"anyOf": [{"type": "string"},
  {"type": "array", "minItems": 1, "items": {"type": "string"}},
  {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
  {"type": "array", "minItems": 1, "items": {"type": "array", "minItems": 1,
    "items": {"type": "integer", "minimum": 0}}}]})";

}  // namespace quern::server
