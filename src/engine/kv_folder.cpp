#include "engine/kv_folder.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "os/atomic_file.h"

namespace quern {

namespace {

namespace fs = std::filesystem;
using FileTime = fs::file_time_type;

constexpr std::string_view kSuffix = ".qkv";
constexpr uint64_t kSlack = 16;  // a part in so many of the limit: removed beyond it, written before looking again
constexpr auto kMarkStep = std::chrono::microseconds(1);  // that a page seems older than the one before it
constexpr size_t kMaxMarks = 256;                         // keep()s that wait and have nothing to write
constexpr auto kAbandonedAfter = std::chrono::minutes(1);

void remove_file(const std::string& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

// Temporary files whose writer has died. A living one holds the lock, soon after it has made the file.
void remove_if_abandoned(const fs::path& path, FileTime changed) {
  if (FileTime::clock::now() - changed < kAbandonedAfter) return;
  auto file = File::open(path.string(), File::Mode::kReadWrite);
  if (file && file->try_lock().value_or(false)) remove_file(path.string());
}

struct ListedFile {
  Digest key{};
  uint64_t bytes = 0;
  FileTime used;
};

// The pages in a folder, those used longest ago first; at most kKvFolderMaxFiles.
std::vector<ListedFile> list_pages(const std::string& folder) {
  std::vector<ListedFile> files;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end && files.size() < kKvFolderMaxFiles;
       it.increment(code)) {
    const std::string name = it->path().filename().string();
    const size_t dot = name.find(kSuffix);
    const auto key = dot == std::string::npos ? std::nullopt : digest_from_hex(std::string_view(name).substr(0, dot));
    std::error_code gone;  // removed by another process meanwhile
    if (!key || !it->is_regular_file(gone) || gone) continue;
    const ListedFile file{*key, it->file_size(gone), it->last_write_time(gone)};
    if (gone) continue;
    if (name.size() == dot + kSuffix.size()) {
      files.push_back(file);
    } else {
      remove_if_abandoned(it->path(), file.used);
    }
  }
  std::sort(files.begin(), files.end(), [](const ListedFile& a, const ListedFile& b) {
    return a.used != b.used ? a.used < b.used : a.key < b.key;
  });
  return files;
}

uint64_t total_bytes(std::span<const ListedFile> files) {
  uint64_t total = 0;
  for (const ListedFile& file : files) total += file.bytes;
  return total;
}

}  // namespace

std::optional<KvPageBytes> KvFetch::take() {
  const std::lock_guard lock(mutex_);
  if (pages_.empty()) return std::nullopt;
  std::optional<KvPageBytes> page(std::move(pages_.front()));
  pages_.pop_front();
  return page;
}

bool KvFetch::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

Result<std::unique_ptr<KvFolder>> KvFolder::open(KvFolderOptions options) {
  const KvShape& shape = options.shape;
  if (std::max({shape.n_layers, shape.n_kv_heads, shape.head_dim}) > UINT32_MAX || shape.page_bytes() == 0) {
    return fail(ErrorCode::kInvalidArgument, "a folder for pages of keys and values of no sensible shape");
  }
  std::unique_ptr<KvFolder> folder(new KvFolder(std::move(options)));
  const KvFolderOptions& o = folder->options_;
  if (o.limit_bytes < folder->file_bytes_) {
    return fail_f(ErrorCode::kInvalidArgument, "{}: a limit of {} bytes is less than one page of this model, {} bytes",
                  o.folder, o.limit_bytes, folder->file_bytes_);
  }
  QUERN_CHECK_OK(make_private_folder(o.folder));
  Lock lock(folder->mutex_);
  folder->trim(lock);
  folder->thread_ = std::thread([f = folder.get()] { f->work(); });
  return folder;
}

KvFolder::KvFolder(KvFolderOptions options)
    : options_(std::move(options)),
      page_bytes_(options_.shape.page_bytes()),
      file_bytes_(kKvPageHeaderBytes + page_bytes_) {}

KvFolder::~KvFolder() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
}

KvFolder::Chain KvFolder::chain_of(std::string_view tenant, std::span<const int32_t> ids) const {
  Chain chain(ids.size() / kKvPageTokens);
  Digest previous = kv_root_key(options_.model_key, options_.shape, tenant);
  for (size_t i = 0; i < chain.size(); ++i) {
    Page& page = chain[i];
    std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(i * kKvPageTokens), kKvPageTokens, page.ids.begin());
    page.previous = previous;
    page.key = previous = kv_page_key(previous, page.ids);
  }
  return chain;
}

size_t KvFolder::count_kept(const Chain& chain, size_t first) const {
  size_t n = 0;
  while (first + n < chain.size() && kept_.contains(chain[first + n].key)) ++n;
  return n;
}

std::string KvFolder::path_of(const Digest& key) const {
  return fmt::format("{}/{}{}", options_.folder, to_hex(key), kSuffix);
}

size_t KvFolder::keep(std::string_view tenant, std::span<const int32_t> ids, size_t from_token,
                      const ReadPage& read_page) {
  Write run{.chain = chain_of(tenant, ids)};
  if (run.chain.empty()) return 0;
  {
    const std::lock_guard lock(mutex_);
    const bool paused = now_s() < paused_until_;
    for (size_t i = from_token / kKvPageTokens; i < run.chain.size(); ++i) {
      const Digest& key = run.chain[i].key;
      if (kept_.contains(key) || queued_.contains(key)) continue;
      const bool room = queued_bytes_ == 0 || queued_bytes_ + file_bytes_ <= kKvFolderQueueBytes;
      AlignedBuffer file = paused || !room ? AlignedBuffer() : AlignedBuffer(file_bytes_);
      if (file.data() == nullptr) {
        ++stats_.dropped;
        continue;
      }
      queued_.insert(key);
      queued_bytes_ += file_bytes_;
      run.items.push_back({i, std::move(file)});
    }
    if (paused) return 0;
  }
  for (Write::Item& item : run.items) {
    read_page(item.page, std::span(item.file.data(), file_bytes_).subspan(kKvPageHeaderBytes));
  }
  const size_t n = run.items.size();
  {
    const std::lock_guard lock(mutex_);
    if (n == 0 && writes_.size() >= kMaxMarks) return 0;  // a disk that hangs: the mark of use is lost
    writes_.push_back(std::move(run));
  }
  work_.notify_one();
  return n;
}

size_t KvFolder::available(std::string_view tenant, std::span<const int32_t> ids, size_t from_token) const {
  const Chain chain = chain_of(tenant, ids);
  const std::lock_guard lock(mutex_);
  return count_kept(chain, from_token / kKvPageTokens);
}

std::shared_ptr<KvFetch> KvFolder::fetch(std::string_view tenant, std::span<const int32_t> ids, size_t from_token,
                                         size_t n_pages, std::function<void()> wake) {
  auto fetch = std::make_shared<KvFetch>();
  Read run{.chain = chain_of(tenant, ids), .next = from_token / kKvPageTokens, .to = fetch, .wake = std::move(wake)};
  {
    const std::lock_guard lock(mutex_);
    const size_t most = std::max<size_t>(kKvFetchBytes / file_bytes_, 1);
    run.end = run.next + std::min({n_pages, most, count_kept(run.chain, run.next)});
    if (run.next >= run.end || stopping_) {
      fetch->ended_ = true;  // nobody else has it yet
      return fetch;
    }
    reads_.push_back(std::move(run));
  }
  work_.notify_one();
  return fetch;
}

KvFolderStats KvFolder::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void KvFolder::flush() {
  Lock lock(mutex_);
  idle_.wait(lock, [this] { return !busy_ && reads_.empty() && writes_.empty(); });
}

void KvFolder::work() {
  Lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return stopping_ || !reads_.empty() || !writes_.empty(); });
    if (stopping_) end_reads(lock);
    if (stopping_ && writes_.empty()) return;
    busy_ = true;
    if (!reads_.empty()) {
      read_next(lock);
    } else {
      write_next(lock);
    }
    busy_ = false;
    if (reads_.empty() && writes_.empty()) idle_.notify_all();
  }
}

// One page of the fetch that has waited longest.
void KvFolder::read_next(Lock& lock) {
  Read run = std::move(reads_.front());
  reads_.pop_front();
  lock.unlock();
  bool more = false;
  if (const auto to = run.to.lock()) {
    auto page = read_page(run.chain[run.next]);
    lock.lock();
    if (page) {
      ++stats_.hits;
    } else {
      kept_.erase(run.chain[run.next].key);
      if (page.error().code != ErrorCode::kNotFound) note_error(page.error());  // else another process removed it
    }
    lock.unlock();
    more = page && run.next + 1 < run.end;
    run.next += page ? 1 : 0;
    if (!more) mark_used(run.chain, 0, run.next, FileTime::clock::now());
    {
      const std::lock_guard to_lock(to->mutex_);
      if (page) to->pages_.push_back(std::move(*page));
      to->ended_ = !more;
    }
    if (run.wake) run.wake();
  }
  lock.lock();
  if (more) reads_.push_back(std::move(run));
}

void KvFolder::end_reads(Lock& lock) {
  const std::deque<Read> reads = std::exchange(reads_, {});
  lock.unlock();
  for (const Read& run : reads) {
    if (const auto to = run.to.lock()) {
      {
        const std::lock_guard to_lock(to->mutex_);
        to->ended_ = true;
      }
      if (run.wake) run.wake();
    }
  }
  lock.lock();
}

// One page of the oldest keep(), or the mark of use that comes before them.
void KvFolder::write_next(Lock& lock) {
  Write& run = writes_.front();  // stays where it is while others are added
  if (!run.time) {
    lock.unlock();
    run.time = FileTime::clock::now();
    mark_used(run.chain, 0, run.chain.size(), *run.time);
    lock.lock();
  }
  if (run.done == run.items.size()) {
    writes_.pop_front();
    return;
  }
  Write::Item& item = run.items[run.done];
  const Page& page = run.chain[item.page];
  lock.unlock();
  std::error_code ignored;
  const bool there = fs::exists(path_of(page.key), ignored);  // by another process
  const Status written = there ? Status() : write_page(page, item.file);
  mark_used(run.chain, item.page, item.page + 1, *run.time);
  item.file = AlignedBuffer();
  lock.lock();
  if (!written) {
    note_error(written.error());
    give_up_writing();
    return;
  }
  kept_.insert(page.key);
  queued_.erase(page.key);
  queued_bytes_ -= file_bytes_;
  ++run.done;
  if (there) return;
  ++stats_.writes;
  ++stats_.files;
  stats_.bytes += file_bytes_;
  unseen_bytes_ += file_bytes_;
  if (stats_.bytes > options_.limit_bytes || unseen_bytes_ > options_.limit_bytes / kSlack) trim(lock);
}

// Looks at the folder anew, since other processes write to it as well, and removes what is too much.
void KvFolder::trim(Lock& lock) {
  unseen_bytes_ = 0;
  lock.unlock();
  const std::vector<ListedFile> files = list_pages(options_.folder);
  uint64_t total = total_bytes(files);
  size_t first = 0;  // that stays
  if (total > options_.limit_bytes) {
    const uint64_t wanted = options_.limit_bytes - options_.limit_bytes / kSlack;
    for (; first < files.size() && total > wanted; ++first) {
      remove_file(path_of(files[first].key));
      total -= files[first].bytes;
    }
  }
  std::unordered_set<Digest, DigestHash> kept;
  for (size_t i = first; i < files.size(); ++i) kept.insert(files[i].key);
  lock.lock();
  kept_ = std::move(kept);
  stats_.files = kept_.size();
  stats_.bytes = total;
  stats_.removed += first;
}

void KvFolder::note_error(const Error& error) {
  ++stats_.errors;
  stats_.notice = error.message;
}

void KvFolder::give_up_writing() {
  for (const Write& run : writes_) {
    stats_.dropped += run.items.size() - run.done;
    for (size_t i = run.done; i < run.items.size(); ++i) {
      queued_.erase(run.chain[run.items[i].page].key);  // those of a keep() that still copies its pages stay
      queued_bytes_ -= file_bytes_;
    }
  }
  writes_.clear();
  paused_until_ = now_s() + options_.retry_s;
}

Status KvFolder::write_page(const Page& page, AlignedBuffer& file) const {
  const std::span<std::byte> bytes(file.data(), file.size());
  const auto header = kv_page_header({.key = page.key,
                                      .previous = page.previous,
                                      .shape = options_.shape,
                                      .ids = page.ids,
                                      .payload = bytes.subspan(kKvPageHeaderBytes)});
  std::copy(header.begin(), header.end(), bytes.begin());
  QUERN_TRY(AtomicFile out, AtomicFile::create(path_of(page.key), File::Mode::kCreatePrivate));
  (void)out.file().try_lock();  // says that the writer lives; some file systems have no locks
  QUERN_CHECK_OK(out.write(bytes));
  QUERN_TRY(const File written, out.publish_unsynced());
  return {};
}

// A page that has been checked. One that is damaged is removed.
Result<KvPageBytes> KvFolder::read_page(const Page& wanted) const {
  const std::string path = path_of(wanted.key);
  QUERN_TRY(File file, File::open(path, File::Mode::kRead));
  AlignedBuffer bytes(file_bytes_);
  if (bytes.data() == nullptr) return fail_f(ErrorCode::kResource, "{}: no memory to read it", path);
  size_t n = 0;
  while (n < file_bytes_) {
    QUERN_TRY(const size_t got, file.read(std::span(bytes.data(), file_bytes_).subspan(n)));
    if (got == 0) break;
    n += got;
  }
  QUERN_TRY(const uint64_t size, file.size());
  const auto page = parse_kv_page(std::span(bytes.data(), n));
  std::string wrong;
  if (!page) {
    wrong = page.error().message;
  } else if (size != n || page->key != wanted.key || page->previous != wanted.previous || page->ids != wanted.ids ||
             page->shape != options_.shape) {
    wrong = "it is another page than its name says";
  }
  if (!wrong.empty()) {
    remove_file(path);
    return fail_f(ErrorCode::kCorrupt, "{}: a damaged page is removed: {}", path, wrong);
  }
  return KvPageBytes(std::move(bytes));
}

// Sets the times by which list_pages() orders: a page is not removed before those that need it.
void KvFolder::mark_used(const Chain& chain, size_t begin, size_t end, FileTime time) const {
  for (size_t i = begin; i < end; ++i) {
    std::error_code ignored;  // not there, or another user's
    fs::last_write_time(path_of(chain[i].key), time - i * kMarkStep, ignored);
  }
}

}  // namespace quern
