#include "engine/kv_page_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "base/byte_reader.h"
#include "base/checked.h"

namespace quern {

namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian, and read as it is");

constexpr char kMagic[8] = {'Q', 'U', 'E', 'R', 'N', 'K', 'V', '\n'};
constexpr size_t kHeaderDigestAt = kKvPageHeaderBytes - sizeof(Digest);
constexpr size_t kReservedBytes = 16;

// Fields one after the other, each as it lies in memory.
class HeaderWriter {
 public:
  template <class T>
  void put(const T& value) {
    std::memcpy(bytes.data() + at_, &value, sizeof value);
    at_ += sizeof value;
  }
  std::array<std::byte, kKvPageHeaderBytes> bytes{};

 private:
  size_t at_ = 0;
};

Result<Digest> read_digest(ByteReader& in, std::string_view what) {
  QUERN_TRY(const auto bytes, in.take(sizeof(Digest), what));
  Digest d;
  std::memcpy(d.data(), bytes.data(), sizeof d);
  return d;
}

Result<KvShape> read_shape(ByteReader& in) {
  QUERN_TRY(const uint32_t n_layers, in.read<uint32_t>("layers"));
  QUERN_TRY(const uint32_t n_kv_heads, in.read<uint32_t>("heads"));
  QUERN_TRY(const uint32_t head_dim, in.read<uint32_t>("head size"));
  QUERN_TRY(const uint32_t zero, in.read<uint32_t>("reserved"));
  if (zero != 0) return fail(ErrorCode::kCorrupt, "reserved bytes are not zero");
  return KvShape{.n_layers = n_layers, .n_kv_heads = n_kv_heads, .head_dim = head_dim};
}

std::optional<uint64_t> checked_page_bytes(const KvShape& shape) {
  const auto heads = checked_mul(shape.n_layers, shape.n_kv_heads);
  const auto elements = heads ? checked_mul(*heads, shape.head_dim) : std::nullopt;
  return elements ? checked_mul(*elements, 2 * sizeof(uint16_t) * kKvPageTokens) : std::nullopt;
}

}  // namespace

Digest kv_root_key(std::string_view model_key, const KvShape& shape, std::string_view tenant) {
  // Lengths first: no two sets of fields have the same text.
  std::string all = fmt::format("quern kv {} {} {} {} {} {} {} ", kKvPageFileVersion, kKvPageTokens, shape.n_layers,
                                shape.n_kv_heads, shape.head_dim, model_key.size(), tenant.size());
  all.append(model_key).append(tenant);
  return digest(std::as_bytes(std::span(all)));
}

Digest kv_page_key(const Digest& previous, std::span<const int32_t> ids) {
  std::array<std::byte, sizeof(Digest) + kKvPageTokens * sizeof(int32_t)> all{};
  std::memcpy(all.data(), previous.data(), sizeof(Digest));
  std::memcpy(all.data() + sizeof(Digest), ids.data(), kKvPageTokens * sizeof(int32_t));
  return digest(all);
}

std::array<std::byte, kKvPageHeaderBytes> kv_page_header(const KvPageFile& page) {
  HeaderWriter out;
  out.put(kMagic);
  out.put(kKvPageFileVersion);
  out.put(static_cast<uint32_t>(kKvPageTokens));
  out.put(page.key);
  out.put(page.previous);
  for (const size_t n : {page.shape.n_layers, page.shape.n_kv_heads, page.shape.head_dim, size_t{0}}) {
    out.put(static_cast<uint32_t>(n));
  }
  out.put(uint64_t{page.payload.size()});
  out.put(uint64_t{0});
  out.put(page.ids);
  out.put(digest(page.payload));
  out.put(std::array<std::byte, kReservedBytes>{});
  out.put(digest(std::span(out.bytes).first(kHeaderDigestAt)));
  return out.bytes;
}

Result<KvPageFile> parse_kv_page(std::span<const std::byte> file) {
  if (file.size() < kKvPageHeaderBytes) {
    return fail_f(ErrorCode::kCorrupt, "a page of {} bytes is shorter than its header", file.size());
  }
  const auto header = file.first(kKvPageHeaderBytes);
  ByteReader in(header);
  QUERN_TRY(const auto magic, in.take(sizeof kMagic, "magic"));
  QUERN_TRY(const uint32_t version, in.read<uint32_t>("version"));
  QUERN_TRY(const uint32_t tokens, in.read<uint32_t>("tokens"));
  if (std::memcmp(magic.data(), kMagic, sizeof kMagic) != 0 || version != kKvPageFileVersion ||
      tokens != kKvPageTokens) {
    return fail(ErrorCode::kCorrupt, "no page of keys and values of this version");
  }
  KvPageFile page;
  QUERN_TRY(page.key, read_digest(in, "key"));
  QUERN_TRY(page.previous, read_digest(in, "key of the page before"));
  QUERN_TRY(page.shape, read_shape(in));
  QUERN_TRY(const uint64_t payload_bytes, in.read<uint64_t>("length"));
  QUERN_TRY(const uint64_t zero, in.read<uint64_t>("reserved"));
  QUERN_TRY(const auto ids, in.take(sizeof page.ids, "ids"));
  std::memcpy(page.ids.data(), ids.data(), sizeof page.ids);
  QUERN_TRY(const Digest payload_digest, read_digest(in, "checksum of the payload"));
  QUERN_TRY(const auto reserved, in.take(kReservedBytes, "reserved"));
  QUERN_TRY(const Digest own, read_digest(in, "checksum of the header"));
  if (own != digest(header.first(kHeaderDigestAt)) || zero != 0 ||
      std::any_of(reserved.begin(), reserved.end(), [](std::byte b) { return b != std::byte{0}; })) {
    return fail(ErrorCode::kCorrupt, "the header does not match its checksum");
  }
  page.payload = file.subspan(kKvPageHeaderBytes);
  if (payload_bytes != page.payload.size() || checked_page_bytes(page.shape) != payload_bytes) {
    return fail_f(ErrorCode::kCorrupt, "{} layers of {} heads of {} do not fill a page of {} bytes, header {}",
                  page.shape.n_layers, page.shape.n_kv_heads, page.shape.head_dim, page.payload.size(), payload_bytes);
  }
  if (page.key != kv_page_key(page.previous, page.ids)) {
    return fail(ErrorCode::kCorrupt, "the key is not that of its tokens");
  }
  if (payload_digest != digest(page.payload)) {
    return fail(ErrorCode::kCorrupt, "the keys and values do not match their checksum");
  }
  return page;
}

}  // namespace quern
