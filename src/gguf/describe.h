// describe: what a GGUF file holds, in numbers, for `quern show` and logs. Pure; the strings are copies.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/reader.h"

namespace quern {

struct GgufTypeCount {
  TensorType type{};
  std::string_view name;  // of the type; constant data
  uint64_t tensors = 0;
  uint64_t parameters = 0;
  uint64_t bytes = 0;
};

struct GgufKeyText {
  std::string name;
  std::string type;   // "uint32", "array of string[49152]"
  std::string value;  // abbreviated; see render_value
};

struct GgufSummary {
  std::string architecture;  // empty when the file does not say
  std::string name;          // the model's own name; empty when the file does not say
  uint32_t version = 0;
  uint32_t alignment = 0;
  uint32_t parts = 0;
  uint64_t file_bytes = 0;
  uint64_t tensors = 0;
  uint64_t parameters = 0;
  uint64_t tensor_bytes = 0;
  double bits_per_weight = 0;        // over all tensors; 0 when there are none
  std::vector<GgufTypeCount> types;  // by bytes, most first
  std::vector<GgufKeyText> keys;     // in the file's order
};

GgufSummary describe(const GgufView& view);

// A value as text: strings quoted with control characters and invalid UTF-8 escaped, cut at max_text bytes; arrays as
// their first max_items elements. What is cut is marked by "...".
std::string render_value(const GgufValue& value, size_t max_items = 8, size_t max_text = 200);

}  // namespace quern
