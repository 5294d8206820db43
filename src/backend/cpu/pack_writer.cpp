#include "backend/cpu/pack_writer.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/checked.h"

namespace quern {

namespace {

constexpr size_t kBufferBytes = 8 * kPackWindow;
// What flush() leaves is less than a window.
static_assert(kMaxPackPiece + kPackWindow <= kBufferBytes);
static_assert(kPackWindow == kHugePage);

}  // namespace

Result<std::unique_ptr<PackWriter>> PackWriter::create(const std::string& path, const PackHeader& header, size_t room,
                                                       ThreadPool& pool) {
  QUERN_TRY(AtomicFile file, AtomicFile::create(path));
  // Held while the file is in the making: a temporary file that nobody holds was left by a process that died.
  QUERN_TRY(const bool locked, file.file().try_lock());
  if (!locked) return fail_f(ErrorCode::kIo, "{}: another process took the lock of a new file", path);
  QUERN_TRY(HugeMemory memory, HugeMemory::of_file(file.file(), room));
  std::unique_ptr<PackWriter> writer(new PackWriter(std::move(file), pool));
  QUERN_TRY(writer->buffer_, HugeMemory::anonymous(kBufferBytes));
  writer->memory_ = std::make_shared<HugeMemory>(std::move(memory));
  writer->index_.header = header;
  writer->filled_ = kPackHeaderBytes;
  return writer;
}

const std::byte* PackWriter::begin(PackEntry entry) {
  const size_t offset = buffer_at_ + filled_;
  if (entry.bytes > memory_->size() || offset > memory_->size() - entry.bytes) return nullptr;
  if (index_.entries.size() == kMaxPackEntries) return nullptr;
  entry.offset = offset;
  index_.entries.push_back(entry);
  return memory_->data() + offset;
}

Result<std::span<std::byte>> PackWriter::stage(size_t piece) {
  if (refused_) return std::span(memory_->data() + buffer_at_ + filled_, memory_->data() + memory_->size());
  if (filled_ + piece > buffer_.size()) {
    QUERN_CHECK_OK(flush(filled_ / kPackWindow * kPackWindow));
    if (refused_) return stage(piece);
  }
  return std::span(buffer_.data() + filled_, buffer_.data() + buffer_.size());
}

// Writes the first `bytes` of the buffer and moves the rest to its front.
Status PackWriter::flush(size_t bytes) {
  const size_t n = div_up(bytes, kPackWindow), first = index_.windows.size();
  index_.windows.resize(first + n);
  std::mutex mutex;
  pool_.parallel(n, [&](size_t i, unsigned) {
    const auto [begin, end] = pack_window(first + i, buffer_at_ + bytes);
    const std::span<const std::byte> window(buffer_.data() + (begin - buffer_at_), end - begin);
    index_.windows[first + i] = pack_window_checksum(window);
    // Whole windows, the header's zeros included, so that each can become a huge page.
    const uint64_t from = begin / kPackWindow * kPackWindow;
    if (auto ok = file_->file().write_at(from, {buffer_.data() + (from - buffer_at_), end - from}); !ok) {
      const std::lock_guard lock(mutex);
      refused_ = ok.error();
    }
  });
  if (refused_) {
    QUERN_CHECK_OK(memory_->make_anonymous(buffer_at_));
    std::memcpy(memory_->data() + buffer_at_, buffer_.data(), filled_);
    file_.reset();
    buffer_ = HugeMemory();
    return {};
  }
  const size_t rest = filled_ - bytes;
  std::memmove(buffer_.data(), buffer_.data() + bytes, rest);
  buffer_at_ += bytes;
  filled_ = rest;
  return {};
}

Result<Result<File>> PackWriter::finish() {
  if (!refused_) {
    index_.table_offset = buffer_at_ + filled_;
    QUERN_CHECK_OK(flush(filled_));
  }
  buffer_ = HugeMemory();
  return publish();
}

Result<File> PackWriter::publish() {
  if (refused_) return tl::unexpected<Error>(*refused_);
  const std::vector<std::byte> table = pack_table_bytes(index_);
  QUERN_CHECK_OK(file_->file().write_at(index_.table_offset, table));
  QUERN_CHECK_OK(file_->file().truncate(index_.table_offset + table.size()));
  QUERN_CHECK_OK(file_->file().write_at(0, pack_header_bytes(index_, table)));
  // Nobody could tell later whether the system went down before the disk had it all.
  if (index_.header.unsynced == Digest{}) QUERN_CHECK_OK(file_->file().sync());
  return file_->publish_unsynced();
}

}  // namespace quern
