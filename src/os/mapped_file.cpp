#include "os/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace quern {

namespace {

tl::unexpected<Error> io_error(const std::string& path, const char* what) {
  const int code = errno;
  return fail_f(code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: cannot {}: {}", path, what,
                std::strerror(code));
}

// Reads exactly `size` bytes, retrying short reads.
bool read_all(int fd, std::byte* to, size_t size) {
  while (size > 0) {
    const ssize_t n = ::read(fd, to, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path, bool use_mmap) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return io_error(path, "open the file");
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return io_error(path, "read its size");
  if (!S_ISREG(info.st_mode)) return fail_f(ErrorCode::kInvalidArgument, "{}: is not a regular file", path);

  MappedFile file;
  file.path_ = path;
  file.size_ = static_cast<size_t>(info.st_size);
  const auto ns = [](const timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  file.identity_ = {.device = info.st_dev,
                    .inode = info.st_ino,
                    .bytes = file.size_,
                    .modified_ns = ns(info.st_mtim),
                    .changed_ns = ns(info.st_ctim)};
  if (file.size_ == 0) return file;
  if (use_mmap) {
    void* p = ::mmap(nullptr, file.size_, PROT_READ, MAP_SHARED, fd.get(), 0);
    if (p == MAP_FAILED) return io_error(path, "map the file");
    file.data_ = static_cast<const std::byte*>(p);
    file.mapped_ = true;
    return file;
  }
  void* p = ::mmap(nullptr, file.size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) {
    return fail_f(ErrorCode::kResource, "{}: no memory for its {} bytes; map it instead (drop --no-mmap)", path,
                  file.size_);
  }
  file.data_ = static_cast<const std::byte*>(p);
  if (!read_all(fd.get(), static_cast<std::byte*>(p), file.size_)) return io_error(path, "read the file");
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept {
  *this = std::move(other);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    close();
    path_ = std::move(other.path_);
    identity_ = other.identity_;
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    mapped_ = other.mapped_;
  }
  return *this;
}

MappedFile::~MappedFile() {
  close();
}

void MappedFile::close() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  data_ = nullptr;
  size_ = 0;
}

void MappedFile::release(size_t offset, size_t size) const {
  if (!mapped_ || offset >= size_) return;
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = (size < size_ - offset ? offset + size : size_) / page * page;
  if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace quern
