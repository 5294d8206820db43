#include "os/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

namespace quern {

namespace {

tl::unexpected<Error> io_error(const std::string& path, const char* what, int code) {
  ErrorCode kind = ErrorCode::kIo;
  if (code == ENOENT) kind = ErrorCode::kNotFound;
  if (code == ENOSPC || code == EDQUOT) kind = ErrorCode::kResource;
  return fail_f(kind, "{}: cannot {}: {}", path, what, std::strerror(code));
}

}  // namespace

tl::unexpected<Error> File::error(const char* what) const {
  return io_error(path_, what, errno);
}

Result<File> File::open(const std::string& path, Mode mode) {
  int flags = O_CLOEXEC;
  if (mode == Mode::kRead) flags |= O_RDONLY;
  if (mode == Mode::kReadWrite) flags |= O_RDWR;
  if (mode == Mode::kCreate || mode == Mode::kCreatePrivate) flags |= O_RDWR | O_CREAT | O_EXCL;
  if (mode == Mode::kOpenOrNew) flags |= O_RDWR | O_CREAT;
  File file;
  file.path_ = path;
  file.fd_ = ::open(path.c_str(), flags, mode == Mode::kCreatePrivate ? 0600 : 0666);
  if (file.fd_ < 0) return file.error("open the file");
  return file;
}

File::File(File&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    path_ = std::move(other.path_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

Result<uint64_t> File::size() const {
  struct stat info{};
  if (::fstat(fd_, &info) != 0) return error("read its size");
  return static_cast<uint64_t>(info.st_size);
}

Result<size_t> File::read(std::span<std::byte> to) {
  for (;;) {
    const ssize_t n = ::read(fd_, to.data(), to.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return error("read the file");
  }
}

Status File::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error("write the file");
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Status File::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error("write the file");
    offset += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Status File::seek(uint64_t offset) {
  if (::lseek(fd_, static_cast<off_t>(offset), SEEK_SET) < 0) return error("move in the file");
  return {};
}

Status File::truncate(uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return error("cut the file");
  return {};
}

Status File::sync() {
  if (::fsync(fd_) != 0) return error("bring the file to the disk");
  return {};
}

void File::write_back(uint64_t offset, uint64_t bytes) {
  ::sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

Result<bool> File::try_lock() {
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  return error("lock the file");
}

Status touch_file(const std::string& path) {
  if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) != 0) return io_error(path, "set its time", errno);
  return {};
}

Status sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return io_error(folder, "open the folder", errno);
  const int code = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // Some file systems refuse to sync folders; they order the rename themselves.
  if (code != 0 && code != EINVAL) return io_error(folder, "bring the folder to the disk", code);
  return {};
}

Result<uint64_t> free_disk_bytes(const std::string& folder) {
  struct statvfs info{};
  if (::statvfs(folder.c_str(), &info) != 0) return io_error(folder, "read the free disk space", errno);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

Status make_folders(const std::string& folder) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) return fail_f(ErrorCode::kIo, "{}: cannot make the folder: {}", folder, code.message());
  return {};
}

Status make_private_folder(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::path(folder) / "";  // "a/b" and "a/b/" have one parent, "a"
  const std::string parent = path.parent_path().parent_path().string();
  if (!parent.empty()) QUERN_CHECK_OK(make_folders(parent));
  if (::mkdir(folder.c_str(), 0700) == 0) return {};
  const int code = errno;
  std::error_code ignored;
  if (code == EEXIST && std::filesystem::is_directory(folder, ignored)) return {};
  return io_error(folder, "make the folder", code);
}

Status rename_file(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return io_error(to, "move the finished file into place", errno);
  return {};
}

Status replace_file(const std::string& from, const std::string& to) {
  QUERN_CHECK_OK(rename_file(from, to));
  const std::string folder = std::filesystem::path(to).parent_path().string();
  return sync_folder(folder.empty() ? "." : folder);
}

}  // namespace quern
