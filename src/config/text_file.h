// A whole small file of text, with the reason where it cannot be read. Any thread.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace quern {

// The error names the path. kResource: more than `limit` bytes.
Result<std::string> read_text_file(const std::string& path, size_t limit);

}  // namespace quern
