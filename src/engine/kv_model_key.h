// A short text that stands for a model's weights, to tell its kept keys and values from those of others without reading
// the whole file.
//
// Covered: of each file everything before the first tensor (metadata, table of tensors), size and time of last change,
// 64 KB at 16 places; of each tensor 4 KB at its beginning, middle and end. Not seen is a file with the same of all
// these, changed elsewhere: a few rows patched in place and the time set back. A copy that does not keep the time of
// last change is another model. Reads some megabytes. Any thread.
#pragma once

#include <string>

#include "engine/model_file.h"

namespace quern {

std::string kv_model_key(const ModelFile& model);

}  // namespace quern
