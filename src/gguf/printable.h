// Names from files as they may appear in a message. Internal to gguf.
#pragma once

#include <string>
#include <string_view>

namespace quern {

// At most 80 characters, anything but printable ASCII as \xNN.
std::string printable(std::string_view text);

}  // namespace quern
