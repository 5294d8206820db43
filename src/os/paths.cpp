#include "os/paths.h"

#include <pwd.h>
#include <unistd.h>

#include <optional>

#include "os/env.h"

namespace quern {

namespace {

std::optional<std::string> home() {
  if (auto value = env_get("HOME"); value && !value->empty()) return value;
  // Services and containers may have no HOME; the user database still knows.
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (::getpwuid_r(::getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) return found->pw_dir;
  return std::nullopt;
}

Result<std::string> folder(const char* own, const char* xdg, const char* below_home) {
  if (auto value = env_get(own); value && !value->empty()) return *value;
  // The specification says that a relative path there is to be ignored.
  if (auto value = env_get(xdg); value && value->starts_with('/')) return *value + "/quern";
  if (auto value = home()) return *value + below_home;
  return fail_f(ErrorCode::kNotFound, "no home folder is known: set {}", own);
}

}  // namespace

Result<std::string> cache_folder() {
  return folder("QUERN_CACHE", "XDG_CACHE_HOME", "/.cache/quern");
}

Result<std::string> config_folder() {
  return folder("QUERN_CONFIG", "XDG_CONFIG_HOME", "/.config/quern");
}

}  // namespace quern
