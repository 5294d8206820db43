// Digest: a 128-bit hash (XXH3) by which contents are named and checked. It finds damage and tells contents apart; it
// is no protection against somebody who makes two contents collide on purpose. Pure functions; any thread.
#pragma once

#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace quern {

using Digest = std::array<uint8_t, 16>;  // big-endian, as it is printed

inline Digest digest(std::span<const std::byte> bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  Digest d;
  std::memcpy(d.data(), canonical.digest, sizeof d);
  return d;
}

inline std::string to_hex(const Digest& d) {
  std::string text;
  for (const uint8_t byte : d) text += fmt::format("{:02x}", byte);
  return text;
}

inline std::optional<Digest> digest_from_hex(std::string_view text) {
  Digest d{};
  if (text.size() != 2 * d.size()) return std::nullopt;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t digit = std::string_view("0123456789abcdef").find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    d[i / 2] = static_cast<uint8_t>(i % 2 == 0 ? digit << 4 : d[i / 2] | digit);
  }
  return d;
}

// For unordered containers: the digest is its own hash.
struct DigestHash {
  size_t operator()(const Digest& d) const {
    size_t h;
    std::memcpy(&h, d.data(), sizeof h);
    return h;
  }
};

}  // namespace quern
