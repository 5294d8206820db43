#include "os/huge_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/checked.h"

namespace quern {

Result<HugeMemory> HugeMemory::map(size_t bytes, int protection, int flags, int fd) {
  const auto refused = [&] {
    return fail_f(ErrorCode::kResource, "no address space for {} bytes: {}", bytes, std::strerror(errno));
  };
  const auto size = checked_align_up(bytes, kHugePage);
  const auto room = size ? checked_add(*size, kHugePage) : std::nullopt;
  if (bytes == 0 || !room) return fail_f(ErrorCode::kResource, "no address space for {} bytes", bytes);
  // Reserved with room to spare, then cut to the boundary and mapped over.
  void* reserved = ::mmap(nullptr, *room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return refused();
  auto* begin = static_cast<std::byte*>(reserved);
  auto* aligned = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<uintptr_t>(begin), kHugePage));
  if (aligned != begin) ::munmap(begin, static_cast<size_t>(aligned - begin));
  if (std::byte* end = aligned + *size; end != begin + *room) ::munmap(end, static_cast<size_t>(begin + *room - end));
  if (::mmap(aligned, *size, protection, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
    const int code = errno;
    ::munmap(aligned, *size);
    errno = code;
    return refused();
  }
  ::madvise(aligned, *size, MADV_HUGEPAGE);  // a wish: refused where the system has no huge pages
  return HugeMemory(aligned, *size);
}

Result<HugeMemory> HugeMemory::anonymous(size_t bytes) {
  return map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

Result<HugeMemory> HugeMemory::reserved(size_t bytes) {
  return map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

Result<HugeMemory> HugeMemory::of_file(const File& file, size_t bytes) {
  return map(bytes, PROT_READ, MAP_SHARED, file.fd_);
}

Status HugeMemory::make_anonymous(size_t offset) {
  if (offset >= size_) return {};
  void* at = data_ + offset;
  if (::mmap(at, size_ - offset, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
             0) == MAP_FAILED) {
    return fail_f(ErrorCode::kResource, "no memory for {} bytes: {}", size_ - offset, std::strerror(errno));
  }
  ::madvise(at, size_ - offset, MADV_HUGEPAGE);
  return {};
}

HugeMemory::HugeMemory(HugeMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

HugeMemory& HugeMemory::operator=(HugeMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

HugeMemory::~HugeMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace quern
