// The file of one page of keys and values (.qkv): what a page of 64 positions holds, and of which tokens. Bytes in
// docs/formats.md.
//
// A page is named by a chain of hashes over all ids up to its end, beginning with everything else that its bits depend
// on and with the tenant's secret. Each file carries its link of the chain and all of it is under checksums, so damage
// and mistaken names are found before a bit is used. Pure functions of bytes; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"
#include "kv/store.h"

namespace quern {

// To be raised when the bytes of the file change, and when the arithmetic of a forward does (docs/numerics.md).
inline constexpr uint32_t kKvPageFileVersion = 1;
inline constexpr size_t kKvPageHeaderBytes = 384;  // the payload comes next, a multiple of a cache line from the start

// Where the chains of one tenant and model begin.
Digest kv_root_key(std::string_view model_key, const KvShape& shape, std::string_view tenant);
// The key of the page that holds the 64 `ids` after the page (or root) `previous`.
Digest kv_page_key(const Digest& previous, std::span<const int32_t> ids);

struct KvPageFile {
  Digest key{}, previous{};
  KvShape shape;
  std::array<int32_t, kKvPageTokens> ids{};
  std::span<const std::byte> payload;  // shape.page_bytes(), as KvStore::read_page gives them
};

// A view of a whole file. kCorrupt says what is wrong; of a result everything has been checked, but for whether it is
// the page that was wanted: `key` names it.
Result<KvPageFile> parse_kv_page(std::span<const std::byte> file);

// The header for a payload that follows it. `page.key` and the counts of its shape must fit (kv_page_key, 32 bits).
std::array<std::byte, kKvPageHeaderBytes> kv_page_header(const KvPageFile& page);

}  // namespace quern
