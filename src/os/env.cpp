#include "os/env.h"

#include <cstdlib>

namespace quern {

std::optional<std::string> env_get(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

}  // namespace quern
