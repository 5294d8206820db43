// What the program's standard streams are connected to.
#pragma once

#include <cstdint>

namespace quern {

enum class Stream : uint8_t { kIn = 0, kOut = 1, kErr = 2 };

bool is_terminal(Stream stream);

// Columns of the terminal, 80 where unknown.
int terminal_width(Stream stream);

}  // namespace quern
