#include "hub/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <new>
#include <vector>

#include "os/file.h"

namespace quern::hub {

namespace {

EVP_MD_CTX* md(const auto& context) {
  return static_cast<EVP_MD_CTX*>(context.get());
}

}  // namespace

void Sha256::Free::operator()(void* context) const {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context));
}

// These OpenSSL calls fail only for want of memory.
Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ || EVP_DigestInit_ex(md(context_), EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
}

void Sha256::update(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(md(context_), bytes.data(), bytes.size());
}

std::string Sha256::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_DigestFinal_ex(md(context_), digest.data(), &size);
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

Result<std::string> sha256_of_file(const std::string& path, const std::function<bool(uint64_t)>& keep_going) {
  QUERN_TRY(File file, File::open(path, File::Mode::kRead));
  std::vector<std::byte> buffer(size_t{1} << 20);
  Sha256 hash;
  uint64_t done = 0;
  for (;;) {
    QUERN_TRY(const size_t n, file.read(buffer));
    if (n == 0) return hash.finish();
    hash.update(std::span(buffer).first(n));
    done += n;
    if (keep_going && !keep_going(done)) return fail(ErrorCode::kCancelled, "stopped on request");
  }
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c); });
}

}  // namespace quern::hub
