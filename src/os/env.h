// Environment variables: the only place that reads them.
#pragma once

#include <optional>
#include <string>

namespace quern {

// The value, or nullopt when unset. Reads the process environment; call it before threads that change it exist.
std::optional<std::string> env_get(const char* name);

}  // namespace quern
