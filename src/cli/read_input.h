// Text that a command is given by file or pipe.
#pragma once

#include <string>

#include "base/result.h"

namespace quern::cli {

// The whole contents of a file, or of standard input for "-". kResource beyond 1 GiB.
Result<std::string> read_input(const std::string& path);

}  // namespace quern::cli
