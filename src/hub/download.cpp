#include "hub/download.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "base/checked.h"
#include "hub/http.h"
#include "hub/retry.h"
#include "hub/sha256.h"
#include "os/atomic_file.h"
#include "os/file.h"

namespace quern::hub {

namespace {

constexpr uint64_t kDiskMargin = uint64_t{16} << 20;  // left free for everything else
constexpr std::string_view kMagic = "GGUF";

std::string megabytes(uint64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

// Only a strong ETag promises the same bytes (RFC 9110, 13.1.5).
bool is_strong_etag(std::string_view etag) {
  return etag.size() > 2 && etag.front() == '"' && etag.back() == '"';
}

Result<std::string> read_small_file(const std::string& path) {
  QUERN_TRY(File file, File::open(path, File::Mode::kRead));
  std::string text(1024, '\0');
  QUERN_TRY(const size_t n, file.read(std::as_writable_bytes(std::span(text))));
  text.resize(n);
  return text;
}

class Download {
 public:
  Download(const DownloadRequest& request, const HubOptions& options, const PullMonitor& monitor, File part)
      : request_(request), options_(options), monitor_(monitor), part_(std::move(part)), sha256_(request.sha256) {}

  Result<Downloaded> run();

 private:
  Status load_part();
  Status restart();
  std::optional<Attempt> attempt();
  Status on_head(const HttpResponse& head);
  Status on_body(std::span<const std::byte> bytes);
  Status check_space() const;
  Status verify();
  void remove_part();
  tl::unexpected<Error> discard(std::string message);
  [[nodiscard]] std::string etag_path() const { return part_.path() + ".etag"; }

  const DownloadRequest& request_;
  const HubOptions& options_;
  const PullMonitor& monitor_;
  File part_;
  std::string sha256_;  // expected; empty while unknown
  std::string etag_;    // of the version in part_; empty: it cannot be resumed
  uint64_t size_ = 0;   // bytes in part_, all of them in hash_
  std::optional<uint64_t> total_;
  std::string magic_;
  Sha256 hash_;
  bool ours_ = false;  // the last failure is this machine's or the contents', not the network's
};

// Takes over what an earlier download left, hashing it on the way.
Status Download::load_part() {
  const auto etag = read_small_file(etag_path());
  if (!etag || !is_strong_etag(*etag)) return restart();
  etag_ = *etag;
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (;;) {
    QUERN_TRY(const size_t n, part_.read(buffer));
    if (n == 0) break;
    hash_.update(std::span(buffer).first(n));
    if (size_ == 0) magic_.assign(reinterpret_cast<const char*>(buffer.data()), std::min(n, kMagic.size()));
    size_ += n;
    if (monitor_.stop()) return fail(ErrorCode::kCancelled, "stopped on request");
  }
  if (request_.bytes && size_ > *request_.bytes) return restart();
  if (size_ > 0) monitor_.say(fmt::format("{}: resuming at {}", request_.label, megabytes(size_)));
  return {};
}

Status Download::restart() {
  std::remove(etag_path().c_str());
  QUERN_CHECK_OK(part_.truncate(0));
  QUERN_CHECK_OK(part_.seek(0));
  etag_.clear();
  magic_.clear();
  size_ = 0;
  hash_ = Sha256();
  return {};
}

Status Download::check_space() const {
  if (!total_ || *total_ <= size_) return {};
  const size_t slash = part_.path().rfind('/');
  const std::string folder = slash == std::string::npos ? "." : part_.path().substr(0, slash);
  QUERN_TRY(const uint64_t free, free_disk_bytes(folder));
  const auto needed = checked_add(*total_ - size_, kDiskMargin);
  if (needed && *needed <= free) return {};
  return fail_f(ErrorCode::kResource, "{}: {} more are needed in {}, its disk has {} free", request_.label,
                megabytes(*total_ - size_), folder, megabytes(free));
}

Status Download::on_head(const HttpResponse& head) {
  if (head.status >= 300) return {};
  ours_ = true;  // what fails from here to the next body byte is not the network
  if (head.status == 206 && head.range_begin == size_) {
    total_ = head.range_total;
  } else {
    if (size_ > 0)
      monitor_.say(fmt::format("{}: the server has another version or cannot resume; from the start", request_.label));
    QUERN_CHECK_OK(restart());
    total_ = head.content_length;
    if (head.status != 200)
      return fail_f(ErrorCode::kUnsupported, "{}: the server answers {}", request_.url, head.status);
  }
  if (request_.bytes && total_ && *total_ != *request_.bytes) {
    return discard(fmt::format("the listing says {} bytes, the server {}: it changed just now, pull again",
                               *request_.bytes, *total_));
  }
  if (!total_) total_ = request_.bytes;
  if (!sha256_.empty() && !head.linked_sha256.empty() && sha256_ != head.linked_sha256) {
    return discard("the server has another version than it listed: pull again");
  }
  if (sha256_.empty()) sha256_ = head.linked_sha256;
  if (is_strong_etag(head.etag) && head.etag != etag_) {
    QUERN_CHECK_OK(write_file_atomically(etag_path(), head.etag));
    etag_ = head.etag;
  }
  QUERN_CHECK_OK(check_space());
  ours_ = false;
  return {};
}

Status Download::on_body(std::span<const std::byte> bytes) {
  ours_ = true;
  if (magic_.size() < kMagic.size()) {
    magic_.append(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kMagic.size() - magic_.size()));
    if (!kMagic.starts_with(magic_)) return discard(fmt::format("{} is not a GGUF file", request_.url));
  }
  const auto size = checked_add(size_, bytes.size());
  if (!size || (total_ && *size > *total_)) return discard("more bytes came than the server announced");
  QUERN_CHECK_OK(part_.write(bytes));
  hash_.update(bytes);
  size_ = *size;
  monitor_.report(request_.label, size_, total_.value_or(0));
  ours_ = false;
  return {};
}

void Download::remove_part() {
  std::remove(part_.path().c_str());
  std::remove(etag_path().c_str());
}

// Removes what came: it is of no use to a later attempt.
tl::unexpected<Error> Download::discard(std::string message) {
  remove_part();
  return fail_f(ErrorCode::kCorrupt, "{}: {}", request_.label, message);
}

std::optional<Attempt> Download::attempt() {
  if (size_ > 0 && etag_.empty()) {  // nothing tells whether the server still has the same file
    if (auto status = restart(); !status) return Attempt{.error = status.error()};
  }
  if (total_ && size_ == *total_) return std::nullopt;
  ours_ = false;
  const auto head = http_get({.url = request_.url,
                              .token = request_.token,
                              .range_begin = size_,
                              .if_range = etag_,
                              .on_head = [this](const HttpResponse& h) { return on_head(h); },
                              .on_body = [this](std::span<const std::byte> b) { return on_body(b); },
                              .cancelled = [this] { return monitor_.stop(); }});
  if (!head) return Attempt{.error = head.error(), .retry = !ours_ && head.error().code == ErrorCode::kIo};
  if (head->status == 416) {  // the part is whole already, or of another file: the hash tells the first, not the second
    if (request_.bytes == size_ && !sha256_.empty()) return std::nullopt;
    if (auto status = restart(); !status) return Attempt{.error = status.error()};
    return Attempt{.error = {ErrorCode::kIo, request_.url + ": the server has no such range"}, .retry = true};
  }
  if (head->status >= 300) return refused(*head, request_.url, request_.help_on_refusal);
  if (total_ && size_ < *total_) {
    return Attempt{.error = {ErrorCode::kIo, request_.url + ": the connection ended early"}, .retry = true};
  }
  return std::nullopt;
}

Status Download::verify() {
  if (magic_ != kMagic) return discard(fmt::format("{} is not a GGUF file", request_.url));
  const std::string found = hash_.finish();
  if (!sha256_.empty() && found != sha256_) {
    return discard(fmt::format("damaged on the way: its SHA-256 is {}, {} was promised; it was removed, pull again",
                               found, sha256_));
  }
  QUERN_CHECK_OK(part_.sync());
  // The hash first: a file under its final name always has one.
  QUERN_CHECK_OK(write_file_atomically(request_.path + ".sha256", found));
  QUERN_CHECK_OK(replace_file(part_.path(), request_.path));
  std::remove(etag_path().c_str());
  return {};
}

Result<Downloaded> Download::run() {
  Status fetched = load_part();
  if (fetched) fetched = with_retries(options_, monitor_, [this] { return attempt(); }, [this] { return size_; });
  if (!fetched) {
    Error error = std::move(fetched).error();
    if (size_ == 0) remove_part();
    if (error.code != ErrorCode::kCorrupt && size_ > 0 && !etag_.empty()) {
      error.message +=
          fmt::format("; {} of {} are kept, the same pull resumes there", megabytes(size_), request_.label);
    }
    return tl::unexpected<Error>(std::move(error));
  }
  Downloaded result{.bytes = size_, .sha256 = {}, .checked = !sha256_.empty()};
  QUERN_CHECK_OK(verify());
  QUERN_TRY(result.sha256, read_small_file(request_.path + ".sha256"));
  return result;
}

}  // namespace

Result<Downloaded> download_file(const DownloadRequest& request, const HubOptions& options,
                                 const PullMonitor& monitor) {
  QUERN_TRY(File part, File::open(request.path + ".part", File::Mode::kOpenOrNew));
  QUERN_TRY(const bool locked, part.try_lock());
  if (!locked) return fail_f(ErrorCode::kIo, "{}: another quern is pulling it now", request.label);
  return Download(request, options, monitor, std::move(part)).run();
}

}  // namespace quern::hub
