// HugeMemory: address space at a 2 MB boundary for what is read front to back at each token, in huge pages where the
// system has them (reading them is up to a fifth faster on one core, docs/adr/005-packed-weights-mapped.md).
//
// Owns the mapping; movable. Pages become resident as they are touched. Any thread may read.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "os/file.h"

namespace quern {

inline constexpr size_t kHugePage = size_t{2} << 20;

class HugeMemory {
 public:
  HugeMemory() = default;
  // Zeroed memory of this process. kResource when there is none.
  static Result<HugeMemory> anonymous(size_t bytes);
  // The same, of which far less may ever be used than is asked for: more than the system has is no reason to refuse.
  static Result<HugeMemory> reserved(size_t bytes);
  // The first `bytes` of a file, read-only and shared with every process that maps it. The file may be shorter, and
  // grow: what lies beyond its end must not be touched. It may be closed, renamed or removed meanwhile.
  static Result<HugeMemory> of_file(const File& file, size_t bytes);

  HugeMemory(HugeMemory&& other) noexcept;
  HugeMemory& operator=(HugeMemory&& other) noexcept;
  HugeMemory(const HugeMemory&) = delete;
  HugeMemory& operator=(const HugeMemory&) = delete;
  ~HugeMemory();

  // Replaces [offset, size()) by zeroed memory of this process at the same addresses; offset a multiple of kHugePage.
  Status make_anonymous(size_t offset);

  [[nodiscard]] std::byte* data() const { return data_; }  // not writable where it is a file's
  [[nodiscard]] size_t size() const { return size_; }

 private:
  HugeMemory(std::byte* data, size_t size) : data_(data), size_(size) {}
  static Result<HugeMemory> map(size_t bytes, int protection, int flags, int fd);

  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace quern
