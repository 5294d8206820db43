// summarize_model: what a model's file says of the model, for whoever lists and shows models without loading them.
//
// Reads the header of a GGUF file, or of all parts of a split one; the weights stay on the disk. Any thread may call
// it. Fails as GgufView::parse and join do; messages name the file. Strings are as the file has them, UTF-8 or not.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace quern {

using MetadataScalar = std::variant<bool, int64_t, uint64_t, double, std::string>;

struct MetadataKey {
  std::string name;
  bool is_array = false;
  size_t count = 1;                    // elements of an array
  std::vector<MetadataScalar> values;  // one, or the elements of an array where arrays were asked for
};

struct ModelSummary {
  std::string architecture, name, licence, chat_template;  // empty where the file does not say
  std::string weight_type;                                 // the format that holds most bytes of the tensors
  uint64_t parameters = 0;
  uint64_t file_bytes = 0;  // of all parts
  bool pools = false;       // made for embeddings: it has a pooling type
  std::vector<MetadataKey> keys;
};

// With `arrays`, vocabularies and the like are copied as well.
Result<ModelSummary> summarize_model(const std::string& path, bool arrays = false);

}  // namespace quern
