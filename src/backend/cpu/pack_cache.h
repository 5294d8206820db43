// PackCache: the packed weights of one model, found in the cache folder or put there.
//
// Layout of the folder: CONTENT-v<layout>.qpack (pack_file.h), CONTENT being the hash of the model's files, and
// id/IDENTITY, which remembers the content of files by device, inode, size and times, so that a model is read through
// only once. A copied or renamed model finds the pack of its contents again.
//
// Nothing here is needed to run: whatever goes wrong (a folder that cannot be written, a full disk, a damaged pack)
// costs the time of packing, and notices() says so. A pack is published whole or not at all; processes that write at
// the same time each publish their own, the last one stays. Packs used longest ago are removed to keep the limit. By
// default that is 20 GB, or a quarter of what the disk has free besides the packs where that is less.
//
// One thread at a time, the one that owns the pool; a thread of its own brings a new pack to the disk.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/pack_writer.h"

namespace quern {

class PackCache {
 public:
  PackCache(PackCacheOptions options, std::span<const MappedFile* const> files, ThreadPool& pool);
  ~PackCache();
  PackCache(const PackCache&) = delete;
  PackCache& operator=(const PackCache&) = delete;

  // The bytes of a matrix in the pack that was found; null where none was, or it lacks this one. `piece` as in
  // PackWriter: a pack that lacks a matrix which it should hold is of another program, and is removed.
  const std::byte* find(const PackEntry& wanted, size_t piece);
  // Where packed weights are to be written; null when a pack was found or none is to be.
  [[nodiscard]] PackWriter* writer() { return writer_.get(); }
  // All matrices are made: publishes what was written. Fails when memory ran out.
  Status finish();

  // Owns what find() and writer() point to.
  [[nodiscard]] const std::shared_ptr<HugeMemory>& memory() const { return memory_; }
  [[nodiscard]] bool found() const { return found_; }
  [[nodiscard]] bool written() const { return written_; }
  [[nodiscard]] const std::vector<std::string>& notices() const { return notices_; }

 private:
  Digest content(std::span<const MappedFile* const> files, ThreadPool& pool);
  bool open(const std::string& path);
  Status begin(uint64_t model_bytes, ThreadPool& pool);
  void bring_to_disk(File file, uint64_t bytes);

  PackCacheOptions options_;
  std::string path_;
  PackHeader header_;
  PackIndex index_;
  std::shared_ptr<HugeMemory> memory_;
  std::unique_ptr<PackWriter> writer_;
  bool found_ = false, written_ = false;
  std::vector<std::string> notices_;
  std::thread to_disk_;
  std::atomic<bool> stopping_{false};
};

// Keeps the packs of a folder at `limit` bytes in all, removing those used longest ago, `keep` last; and temporary
// files whose writer has died. Returns the bytes that are left.
uint64_t trim_packs(const std::string& folder, uint64_t limit, const std::string& keep);

// The limit that `asked` (0: the default) comes to.
Result<uint64_t> pack_limit(const std::string& folder, uint64_t asked);

}  // namespace quern
