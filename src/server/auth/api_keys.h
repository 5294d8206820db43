// ApiKeys: who may ask. A file has one key a line, and no key itself but its SHA-256:
//
//   # comment
//   alice sha256:64-HEX-DIGITS priority=7 requests_per_minute=60 tokens_per_minute=100000 models=chat,default
//
// SHA-256 without salt is enough because a key is a random secret, not a password. A key that comes is hashed and
// compared with every entry in constant time. Any thread may call any member; reload() swaps the table in one step.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/service.h"

namespace quern::server {

inline constexpr size_t kMaxKeyFileBytes = size_t{1} << 20;
inline constexpr size_t kMaxKeys = 4096;

// Whoever sent a request. Immutable; shared by the requests that run.
struct Principal {
  std::string name;                             // for log and limits; "anonymous" where there are no keys
  std::string tenant;                           // whose prefixes it may reuse: a name, empty where there are no keys
  int priority = kDefaultPriority;              // most that a request of it may have
  std::optional<uint32_t> requests_per_minute;  // empty: the server's default; 0: any number
  std::optional<uint32_t> tokens_per_minute;
  std::vector<std::string> models;  // empty: all

  [[nodiscard]] bool may_use(std::string_view model) const;
};

class ApiKeys {
 public:
  // Without keys: everyone is the anonymous principal.
  ApiKeys();
  // Errors name the file and the line; all lines that are wrong, not only the first.
  static Result<std::unique_ptr<ApiKeys>> load(const std::string& path);

  // Reads the file again. On failure the keys stay as they were.
  Status reload();
  // What is odd about the file, such as that everyone may read it.
  [[nodiscard]] std::vector<std::string> warnings() const;
  [[nodiscard]] bool open() const { return path_.empty(); }  // no key is needed

  // From the values of the headers Authorization ("Bearer KEY") and x-api-key, empty where absent. kInvalidArgument: no
  // key, or not one of ours; to be answered 401.
  [[nodiscard]] Result<std::shared_ptr<const Principal>> authenticate(std::string_view authorization,
                                                                      std::string_view api_key) const;

 private:
  struct Table;
  static Result<std::shared_ptr<const Table>> read(const std::string& path);

  std::string path_;
  mutable std::mutex mutex_;  // over the pointer, not the table
  std::shared_ptr<const Table> table_;
};

// The line of a key file for `key`: for `quern serve --hash-key`. kInvalidArgument: a name or key that would not do.
Result<std::string> key_file_line(std::string_view name, std::string_view key);

// Problems of a key file's text, "LINE: what" each; empty when it is sound. For the fuzzer, and without a file.
std::vector<std::string> check_key_text(std::string_view text);

}  // namespace quern::server
