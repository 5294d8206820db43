// SHA-256 (FIPS 180-4) over bytes that come in pieces. Owns its state; movable; one thread at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace quern::hub {

class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::byte> bytes);
  // 64 lower-case hexadecimal digits. Ends the object's use.
  std::string finish();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

// The hash of a whole file. `keep_going` (may be unset) is called with the bytes read so far; false ends with
// kCancelled.
Result<std::string> sha256_of_file(const std::string& path, const std::function<bool(uint64_t)>& keep_going = {});

// 64 hexadecimal digits of either case: what a server's header must be to count as a SHA-256.
bool is_sha256(std::string_view text);

}  // namespace quern::hub
