// PackWriter: a file of packed weights in the making. What is written is also what the backend computes with: the file
// is mapped from the beginning, so weights are in memory once, as pages that other processes share.
//
// Bytes are gathered in a buffer and written in windows of 2 MB at 2 MB boundaries, so that a file system with large
// folios can hold each in a huge page; stores through the mapping would end in SIGBUS when the disk is full. When the
// disk refuses a write the rest of the mapping becomes memory of this process at the same addresses, nothing is
// published, and the caller need not know. One thread at a time, the one that owns the pool.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "backend/cpu/pack_file.h"
#include "os/atomic_file.h"
#include "os/huge_memory.h"
#include "os/thread_pool.h"

namespace quern {

inline constexpr size_t kMaxPackPiece = 6 * kPackWindow;

class PackWriter {
 public:
  // `room`: the most that the file may hold; address space, not disk.
  static Result<std::unique_ptr<PackWriter>> create(const std::string& path, const PackHeader& header, size_t room,
                                                    ThreadPool& pool);

  // Whether a matrix made in pieces of `piece` bytes can be part of a pack at all.
  static bool can_hold(const PackEntry& entry, size_t piece) {
    return entry.bytes % kPackAlignment == 0 && piece <= kMaxPackPiece;
  }
  // Begins a matrix that can_hold() allows. Returns where its bytes will be once finish() was called; null when there
  // is no room.
  const std::byte* begin(PackEntry entry);
  // Room for at least one piece of the matrix begun.
  Result<std::span<std::byte>> stage(size_t piece);
  // The first `bytes` of what stage() gave have been filled.
  void commit(size_t bytes) { filled_ += bytes; }

  // Writes what is left and gives the file its name. The file, not yet on the disk, or the reason why there is none:
  // the weights are in memory() in any case. Fails as a whole (outer Result) only when memory ran out.
  Result<Result<File>> finish();

  [[nodiscard]] const std::shared_ptr<HugeMemory>& memory() const { return memory_; }

 private:
  PackWriter(AtomicFile file, ThreadPool& pool) : file_(std::move(file)), pool_(pool) {}
  Status flush(size_t bytes);
  Result<File> publish();

  std::optional<AtomicFile> file_;
  ThreadPool& pool_;
  std::shared_ptr<HugeMemory> memory_;  // the whole file
  HugeMemory buffer_;                   // [buffer_at_, buffer_at_ + filled_) of it
  size_t buffer_at_ = 0, filled_ = 0;
  PackIndex index_;
  std::optional<Error> refused_;  // by the disk
};

}  // namespace quern
