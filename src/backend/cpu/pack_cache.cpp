#include "backend/cpu/pack_cache.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>

#include "base/checked.h"
#include "kernels/pack.h"
#include "os/small_file.h"

namespace quern {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kDefaultLimit = uint64_t{20} << 30;
constexpr size_t kHashChunk = size_t{4} << 20;       // of a model's file, hashed by one thread
constexpr uint64_t kDiskChunk = uint64_t{32} << 20;  // between two looks at whether to stop
constexpr size_t kMaxIdentities = 512;
// A file changed this lately might be changed once more within the resolution of its times.
constexpr int64_t kSettledNs = 2'000'000'000;
constexpr std::string_view kSuffix = ".qpack";

// Zero where the system does not say.
Digest boot_id() {
  const auto text = read_small_file("/proc/sys/kernel/random/boot_id");
  return text && !text->empty() ? digest(std::as_bytes(std::span(*text))) : Digest{};
}

// Two levels: a digest of the digests of chunks, which the threads make side by side. The file's pages are released on
// the way.
Digest hash_files(std::span<const MappedFile* const> files, ThreadPool& pool) {
  std::vector<uint64_t> sizes;
  std::vector<Digest> digests;
  for (const MappedFile* file : files) {
    const auto bytes = file->bytes();
    const size_t n = div_up(bytes.size(), kHashChunk), first = digests.size();
    sizes.push_back(bytes.size());
    digests.resize(first + n);
    pool.parallel(n, [&](size_t i, unsigned) {
      const size_t at = i * kHashChunk;
      digests[first + i] = digest(bytes.subspan(at, std::min(kHashChunk, bytes.size() - at)));
      file->release(at, kHashChunk);
    });
  }
  const Digest parts[] = {digest(std::as_bytes(std::span(sizes))), digest(std::as_bytes(std::span(digests)))};
  return digest(std::as_bytes(std::span(parts)));
}

// The name under which the content of these files is remembered; nullopt while one is too new for its times to tell.
std::optional<std::string> identity_name(std::span<const MappedFile* const> files) {
  using namespace std::chrono;
  const int64_t now = duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
  std::vector<FileIdentity> all;
  for (const MappedFile* file : files) {
    const FileIdentity& id = file->identity();
    if (std::max(id.modified_ns, id.changed_ns) > now - kSettledNs) return std::nullopt;
    all.push_back(id);
  }
  return to_hex(digest(std::as_bytes(std::span(all))));
}

struct Entry {
  fs::path path;
  uint64_t bytes;
  fs::file_time_type used;
};

// Regular files of a folder, those used longest ago first.
std::vector<Entry> entries_of(const std::string& folder) {
  std::vector<Entry> entries;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    std::error_code gone;  // removed by another process meanwhile
    if (!it->is_regular_file(gone) || gone) continue;
    const Entry entry{it->path(), it->file_size(gone), it->last_write_time(gone)};
    if (!gone) entries.push_back(entry);
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used != b.used ? a.used < b.used : a.path < b.path; });
  return entries;
}

void remove_file(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

// A file that its writer has not locked. One that is new may be about to be.
void remove_if_abandoned(const Entry& entry) {
  constexpr auto kNew = std::chrono::minutes(1);
  if (fs::file_time_type::clock::now() - entry.used < kNew) return;
  auto file = File::open(entry.path.string(), File::Mode::kReadWrite);
  if (file && file->try_lock().value_or(false)) remove_file(entry.path);
}

std::string gigabytes(uint64_t bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
}

}  // namespace

uint64_t trim_packs(const std::string& folder, uint64_t limit, const std::string& keep) {
  std::vector<Entry> packs;
  uint64_t total = 0;
  for (Entry& entry : entries_of(folder)) {
    const std::string name = entry.path.filename().string();
    if (name.ends_with(kSuffix)) {
      total += entry.bytes;
      packs.push_back(std::move(entry));
    } else if (name.find(fmt::format("{}.tmp-", kSuffix)) != std::string::npos) {
      remove_if_abandoned(entry);
    }
  }
  for (const Entry& pack : packs) {
    if (total <= limit) break;
    if (pack.path == keep) continue;
    remove_file(pack.path);
    total -= pack.bytes;
  }
  const std::vector<Entry> ids = entries_of(folder + "/id");
  for (size_t i = 0; i + kMaxIdentities < ids.size(); ++i) remove_file(ids[i].path);
  return total;
}

Result<uint64_t> pack_limit(const std::string& folder, uint64_t asked) {
  if (asked != 0) return asked;
  QUERN_TRY(const uint64_t free, free_disk_bytes(folder));
  return std::min(kDefaultLimit, (free + trim_packs(folder, UINT64_MAX, "")) / 4);
}

PackCache::PackCache(PackCacheOptions options, std::span<const MappedFile* const> files, ThreadPool& pool)
    : options_(std::move(options)) {
  uint64_t bytes = 0;
  for (const MappedFile* file : files) bytes += file->bytes().size();
  if (bytes < options_.min_model_bytes) return;
  header_ = {.layout = kPackedLayoutVersion, .content = content(files, pool), .unsynced = boot_id()};
  path_ = fmt::format("{}/{}-v{}{}", options_.folder, to_hex(header_.content), kPackedLayoutVersion, kSuffix);
  if (open(path_)) return;
  if (const auto ok = begin(bytes, pool); !ok) {
    notices_.push_back(fmt::format("packed weights are not kept: {}", ok.error().message));
  }
}

PackCache::~PackCache() {
  stopping_ = true;
  if (to_disk_.joinable()) to_disk_.join();
}

// The content of the files, from memory or by reading them.
Digest PackCache::content(std::span<const MappedFile* const> files, ThreadPool& pool) {
  const auto name = identity_name(files);
  const std::string path = name ? fmt::format("{}/id/{}", options_.folder, *name) : "";
  if (const auto known = name ? read_small_file(path) : std::nullopt) {
    if (const auto hash = digest_from_hex(*known)) return *hash;
  }
  const Digest hash = hash_files(files, pool);
  // Not kept: then the file is read again next time. A folder that cannot be written is reported by begin().
  if (name && make_folders(options_.folder + "/id")) (void)write_file_atomically(path, to_hex(hash));
  return hash;
}

// Maps the pack at `path` if it is there and sound; a damaged one is removed.
bool PackCache::open(const std::string& path) {
  auto file = File::open(path, File::Mode::kRead);
  if (!file) return false;
  const auto size = file->size();
  if (!size) return false;
  auto memory = *size > 0 ? HugeMemory::of_file(*file, *size) : Result<HugeMemory>(HugeMemory());
  if (!memory) return false;
  auto index = parse_pack({memory->data(), *size});
  std::string wrong;
  if (!index) {
    wrong = index.error().message;
  } else if (index->header.layout != header_.layout || index->header.content != header_.content) {
    wrong = "it is of another model";
  } else if (index->header.unsynced != Digest{} && index->header.unsynced != header_.unsynced) {
    wrong = "the system went down before the disk had all of it";
  }
  if (!wrong.empty()) {
    notices_.push_back(fmt::format("{}: damaged packed weights are made anew: {}", path, wrong));
    remove_file(path);
    return false;
  }
  (void)touch_file(path);  // fails where only others may write: then they age
  if (index->header.unsynced != Digest{}) {
    if (auto writable = File::open(path, File::Mode::kReadWrite)) bring_to_disk(std::move(*writable), *size);
  }
  index_ = std::move(*index);
  memory_ = std::make_shared<HugeMemory>(std::move(*memory));
  found_ = true;
  return true;
}

Status PackCache::begin(uint64_t model_bytes, ThreadPool& pool) {
  QUERN_CHECK_OK(make_folders(options_.folder));
  QUERN_TRY(const uint64_t limit, pack_limit(options_.folder, options_.limit_bytes));
  // Packed weights are as large as the file's, a few per cent more for K-quants; rows are padded to 16.
  const uint64_t expected = model_bytes + model_bytes / 10;
  if (expected > limit) {
    return fail_f(ErrorCode::kResource, "about {} are more than the {} that the cache may hold", gigabytes(expected),
                  gigabytes(limit));
  }
  trim_packs(options_.folder, limit - expected, "");
  QUERN_TRY(const uint64_t free, free_disk_bytes(options_.folder));
  if (free < expected) {
    return fail_f(ErrorCode::kResource, "{}: the disk has {} free, about {} are needed", options_.folder,
                  gigabytes(free), gigabytes(expected));
  }
  const auto room = checked_mul(model_bytes, 2);
  if (!room) return fail(ErrorCode::kResource, "the model is too large");
  QUERN_TRY(writer_, PackWriter::create(path_, header_, *room, pool));
  memory_ = writer_->memory();
  return {};
}

const std::byte* PackCache::find(const PackEntry& wanted, size_t piece) {
  if (!found_) return nullptr;
  for (const PackEntry& entry : index_.entries) {
    if (entry.same_matrix(wanted)) return memory_->data() + entry.offset;
  }
  if (PackWriter::can_hold(wanted, piece)) {
    notices_.push_back(fmt::format("{}: packed weights of another program are made anew next time", path_));
    remove_file(path_);
  }
  return nullptr;
}

Status PackCache::finish() {
  if (!writer_) return {};
  QUERN_TRY(auto file, writer_->finish());
  writer_.reset();
  if (!file) {
    notices_.push_back(fmt::format("packed weights are not kept: {}", file.error().message));
    return {};
  }
  written_ = true;
  const uint64_t bytes = file->size().value_or(0);
  if (header_.unsynced != Digest{}) bring_to_disk(std::move(*file), bytes);
  if (const auto limit = pack_limit(options_.folder, options_.limit_bytes)) {
    trim_packs(options_.folder, *limit, path_);
  }
  return {};
}

// In the background, because a disk may take many seconds for a large model. A program that ends before is no loss: the
// system writes the pages in its own time, and the mark in the header holds until it restarts.
void PackCache::bring_to_disk(File file, uint64_t bytes) {
  to_disk_ = std::thread([this, bytes, f = std::move(file)]() mutable {
    for (uint64_t at = 0; at < bytes && !stopping_; at += kDiskChunk) f.write_back(at, kDiskChunk);
    if (stopping_ || !f.sync()) return;
    const Digest synced{};
    if (f.write_at(kPackUnsyncedOffset, std::as_bytes(std::span(synced)))) (void)f.sync();
  });
}

}  // namespace quern
