// KvFolder: the pages of long prefixes on disk, a file for each, so that they outlive the process.
//
// A file's name is its page's key (kv_page_file.h), so a prefix that many sequences share is kept once, tenants never
// meet, and instances and processes can share one folder. Files appear whole, under a temporary name first, and are not
// waited for: what a power cut leaves half-written its checksums find. A kill loses at most what is queued.
//
// Nothing here is needed to run. A damaged file is removed, a full disk or a folder that cannot be written stops the
// writing for a while; both are counted and stats() has the reason in words. When the files of the folder, whosever
// they are (kKvFolderMaxFiles are looked at), exceed the limit, those used longest ago are removed, to a sixteenth
// below it. Use of a page is use of all pages before it; of these the later ones go first. Folder and files are
// readable by this user alone.
//
// All members may be called from any thread; a thread of its own does all reading, writing and removing, reading first.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/aligned.h"
#include "engine/kv_page_file.h"

namespace quern {

inline constexpr size_t kKvFolderQueueBytes = size_t{64} << 20;  // of pages that wait to be written
inline constexpr size_t kKvFetchBytes = size_t{64} << 20;        // of one fetch
inline constexpr size_t kKvFolderMaxFiles = size_t{1} << 18;

struct KvFolderOptions {
  std::string folder;
  std::string model_key;  // whatever a page's bits depend on besides its tokens: the model (kv_model_key.h), the device
  KvShape shape;
  uint64_t limit_bytes = 0;  // of all files of the folder
  double retry_s = 60;       // after a write has failed
};

struct KvFolderStats {
  uint64_t hits = 0;              // pages handed out
  uint64_t writes = 0;            // pages written
  uint64_t dropped = 0;           // pages not written: the queue was full, or the disk refuses
  uint64_t errors = 0;            // damaged files, failed reads and writes
  uint64_t removed = 0;           // files removed to keep the limit
  uint64_t files = 0, bytes = 0;  // in the folder, as last seen
  std::string notice;             // the last error, in words; empty when there was none
};

// A page as it was read.
class KvPageBytes {
 public:
  [[nodiscard]] std::span<const std::byte> payload() const {
    return std::span(file_.data(), file_.size()).subspan(kKvPageHeaderBytes);
  }

 private:
  friend class KvFolder;
  explicit KvPageBytes(AlignedBuffer file) : file_(std::move(file)) {}
  AlignedBuffer file_;  // checked
};

// Pages on their way. Letting go of it cancels what has not been read. May outlive the folder. Any thread.
class KvFetch {
 public:
  // The next page, in order; nullopt when it has not been read yet or there is none.
  std::optional<KvPageBytes> take();
  // No page will come but those that take() has not given yet.
  [[nodiscard]] bool ended() const;

 private:
  friend class KvFolder;
  mutable std::mutex mutex_;
  std::deque<KvPageBytes> pages_;
  bool ended_ = false;
};

class KvFolder {
 public:
  // Makes the folder and looks at what is in it, by names. kInvalidArgument when the limit is less than one page.
  static Result<std::unique_ptr<KvFolder>> open(KvFolderOptions options);
  // Writes what is queued (at most kKvFolderQueueBytes) and ends what is fetched.
  ~KvFolder();
  KvFolder(const KvFolder&) = delete;
  KvFolder& operator=(const KvFolder&) = delete;

  // Copies page `i` of the sequence, shape.page_bytes().
  using ReadPage = std::function<void(size_t i, std::span<std::byte> to)>;
  // Queues the whole pages of `ids` from the one of `from_token` on, but for those that are kept or queued already;
  // `read_page` is called for each of these, before this returns. What the queue has no room for is dropped: call
  // while a long prompt is read, not only at its end. Returns how many were queued. All pages of `ids` count as used.
  size_t keep(std::string_view tenant, std::span<const int32_t> ids, size_t from_token, const ReadPage& read_page);

  // How many whole pages of `ids`, from the one that holds `from_token` on, are on disk without a gap.
  [[nodiscard]] size_t available(std::string_view tenant, std::span<const int32_t> ids, size_t from_token) const;

  // Reads these pages, at most n_pages and kKvFetchBytes (and at least one): ask again for the rest. The first is that
  // of from_token's page, so it begins at a multiple of 64. A page that turns out to be missing or damaged ends the
  // fetch; available() no longer counts it. `wake` is called on the folder's thread after each page and when the fetch
  // ends, unless it had ended when this returned; never once the folder is destroyed. It must not block or call the
  // folder.
  std::shared_ptr<KvFetch> fetch(std::string_view tenant, std::span<const int32_t> ids, size_t from_token,
                                 size_t n_pages, std::function<void()> wake = {});

  [[nodiscard]] KvFolderStats stats() const;
  // Returns when everything that was asked for before has been done or given up.
  void flush();

 private:
  struct Page {
    Digest key{}, previous{};
    std::array<int32_t, kKvPageTokens> ids{};
  };
  using Chain = std::vector<Page>;
  using FileTime = std::filesystem::file_time_type;
  struct Write {  // of one keep()
    Chain chain;
    struct Item {
      size_t page;  // in the chain
      AlignedBuffer file;
    };
    std::vector<Item> items;
    size_t done = 0;
    std::optional<FileTime> time;  // of use, once the pages that were there have been marked
  };
  struct Read {  // of one fetch()
    Chain chain;
    size_t next = 0, end = 0;
    std::weak_ptr<KvFetch> to;
    std::function<void()> wake;
  };

  explicit KvFolder(KvFolderOptions options);
  [[nodiscard]] Chain chain_of(std::string_view tenant, std::span<const int32_t> ids) const;
  [[nodiscard]] size_t count_kept(const Chain& chain, size_t first) const;
  [[nodiscard]] std::string path_of(const Digest& key) const;

  // On the folder's thread; `lock` is held when they are called and when they return, but not while they touch files.
  using Lock = std::unique_lock<std::mutex>;
  void work();
  void read_next(Lock& lock);
  void write_next(Lock& lock);
  void trim(Lock& lock);
  void end_reads(Lock& lock);
  void note_error(const Error& error);
  void give_up_writing();

  Status write_page(const Page& page, AlignedBuffer& file) const;
  Result<KvPageBytes> read_page(const Page& wanted) const;
  void mark_used(const Chain& chain, size_t begin, size_t end, FileTime time) const;

  const KvFolderOptions options_;
  const size_t page_bytes_, file_bytes_;

  mutable std::mutex mutex_;  // of all below
  std::condition_variable work_, idle_;
  std::unordered_set<Digest, DigestHash> kept_;    // pages on disk, as far as is known
  std::unordered_set<Digest, DigestHash> queued_;  // pages in writes_, or being copied into it
  size_t queued_bytes_ = 0;
  uint64_t unseen_bytes_ = 0;  // written since the folder was last listed
  std::deque<Write> writes_;   // only the folder's thread removes from it
  std::deque<Read> reads_;
  double paused_until_ = 0;
  bool busy_ = false, stopping_ = false;
  KvFolderStats stats_;

  std::thread thread_;  // the last member: it uses the others
};

}  // namespace quern
