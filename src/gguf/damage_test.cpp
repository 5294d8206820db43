// Every way of being wrong that we could think of, and the message that each must give.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "gguf/raw_gguf.h"
#include "gguf/reader.h"

namespace quern {
namespace {

using testing::array_of;
using testing::counted;
using ::testing::HasSubstr;
using testing::le;
using testing::RawGguf;

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
constexpr ErrorCode kCorrupt = ErrorCode::kCorrupt;
constexpr ErrorCode kUnsupported = ErrorCode::kUnsupported;

// Uses whatever a view offers, so that a sanitizer sees every access.
uint64_t touch(const GgufView& view) {
  uint64_t sum = 0;
  for (const auto& [name, value] : view.keys()) {
    sum += name.size() + value.size() + value.as_u64().value_or(0);
    for (const auto text : value.strings()) sum += text.size();
    if (value.is_array() && value.element_type() != GgufType::kString)
      for (size_t i = 0; i < value.size(); ++i) sum += value.at(i).as_u64().value_or(1);
    if (view.find(name) == nullptr) ADD_FAILURE() << "a key that is listed is not found";
  }
  for (const auto& tensor : view.tensors()) {
    for (const auto b : tensor.data) sum += static_cast<uint64_t>(b);
    if (view.find_tensor(tensor.name) != &tensor) ADD_FAILURE() << "a tensor that is listed is not found";
  }
  return sum;
}

struct Damage {
  const char* name;
  std::function<void(RawGguf&)> apply;
  ErrorCode code;
  const char* message;
};

// Array and string payloads whose declared length is `n`.
std::string array_header(GgufType element, uint64_t n) {
  return array_of(element, n, "");
}

void add_key(RawGguf& f, GgufType type, const std::string& payload) {
  f.keys.push_back({"x", type, payload, {}});
}

const Damage kHeaderDamages[] = {
    {"magic", [](auto& f) { f.magic = "GGUX"; }, kCorrupt, "byte 0 is 'GGUX', not 'GGUF'"},
    {"old ggml", [](auto& f) { f.magic = "tjgg"; }, kCorrupt, "convert the model again"},
    {"web page", [](auto& f) { f.magic = "<!DOCTYPE html>"; }, kCorrupt, "this is a web page"},
    {"lfs pointer", [](auto& f) { f.magic = "version https://git-lfs.github.com/spec/v1"; }, kCorrupt,
     "Git LFS pointer"},
    {"zip", [](auto& f) { f.magic = "PK\3\4"; }, kCorrupt, "zip archive"},
    {"safetensors", [](auto& f) { f.magic = le<uint64_t>(100) + "{\"__meta"; }, kCorrupt, "safetensors"},
    {"version 0", [](auto& f) { f.version = 0; }, kCorrupt, "GGUF version 0 (byte 4) does not exist"},
    {"version 1", [](auto& f) { f.version = 1; }, kUnsupported, "GGUF version 1 (byte 4) is not read"},
    {"version 4", [](auto& f) { f.version = 4; }, kUnsupported, "GGUF version 4 (byte 4) is newer"},
    {"version max", [](auto& f) { f.version = 0xffffffff; }, kUnsupported, "is newer than this build"},
    {"big-endian 2", [](auto& f) { f.version = 0x02000000; }, kUnsupported, "version 2 in big-endian"},
    {"big-endian 3", [](auto& f) { f.version = 0x03000000; }, kUnsupported, "version 3 in big-endian"},
    {"tensor count 2^64-1", [](auto& f) { f.n_tensors = kHuge; }, kCorrupt,
     "byte 8 declares 18446744073709551615 tensors"},
    {"tensor count beyond file", [](auto& f) { f.n_tensors = 5000; }, kCorrupt, "byte 8 declares 5000 tensors, which"},
    {"tensor count one more", [](auto& f) { f.n_tensors = 3; }, kCorrupt, "tensor 3 of 3 at byte 292 has no name"},
    {"key count 2^64-1", [](auto& f) { f.n_keys = kHuge; }, kCorrupt, "byte 16 declares 18446744073709551615 keys"},
    {"key count beyond file", [](auto& f) { f.n_keys = 5000; }, kCorrupt, "byte 16 declares 5000 keys, which"},
    {"key count one more", [](auto& f) { f.n_keys = 6; }, kCorrupt, "name of tensor 1 of 2 at byte"},
    {"key count one less", [](auto& f) { f.n_keys = 4; }, kCorrupt, "dimensions"},
};

const Damage kKeyDamages[] = {
    {"key name 2^64-1", [](auto& f) { f.keys[0].name_length = kHuge; }, kCorrupt, "has length 18446744073709551615"},
    {"key name 2^63", [](auto& f) { f.keys[0].name_length = uint64_t{1} << 63; }, kCorrupt,
     "at most 65535 are allowed"},
    {"key name past the end", [](auto& f) { f.keys[0].name_length = 65535; }, kCorrupt,
     "name of key 1 of 5 at byte 32 needs 65535"},
    {"key name empty", [](auto& f) { f.keys[1].name = ""; }, kCorrupt, "key 2 of 5 at byte 68 has no name"},
    {"key name too long", [](auto& f) { f.keys[0].name = std::string(65536, 'k'); }, kCorrupt, "has length 65536"},
    {"key twice", [](auto& f) { f.keys[2].name = "t.numbers"; }, kCorrupt, "key t.numbers occurs twice"},
    {"value type 13", [](auto& f) { f.keys[2].type = GgufType(13); }, kCorrupt, "key t.flag at byte"},
    {"value type 2^32-1", [](auto& f) { f.keys[2].type = GgufType(0xffffffff); }, kCorrupt,
     "value type 4294967295, which does not exist"},
    {"bool of 2", [](auto& f) { f.keys[2].payload = "\2"; }, kCorrupt, "is a bool of value 2"},
    {"bool array of 255", [](auto& f) { add_key(f, GgufType::kArray, array_of(GgufType::kBool, 3, "\1\1\xff")); },
     kCorrupt, "is a bool of value 255"},
    {"string 2^64-1", [](auto& f) { f.keys[0].payload = le(kHuge) + "test"; }, kCorrupt,
     "a string of key general.architecture"},
    {"string 2^64-8", [](auto& f) { f.keys[0].payload = le(kHuge - 7) + "test"; }, kCorrupt,
     "needs 18446744073709551608 bytes"},
    {"string past the end", [](auto& f) { f.keys[0].payload = le<uint64_t>(4096) + "test"; }, kCorrupt,
     "needs 4096 bytes, only"},
    {"array of arrays", [](auto& f) { add_key(f, GgufType::kArray, array_header(GgufType::kArray, 1)); }, kUnsupported,
     "array of arrays"},
    {"array of type 99", [](auto& f) { add_key(f, GgufType::kArray, array_header(GgufType(99), 1)); }, kCorrupt,
     "value type 99"},
    {"array 2^64-1 of uint8", [](auto& f) { add_key(f, GgufType::kArray, array_header(GgufType::kUint8, kHuge)); },
     kCorrupt, "declares 18446744073709551615 values of type uint8"},
    {"array 2^61 of uint64",
     [](auto& f) { add_key(f, GgufType::kArray, array_header(GgufType::kUint64, uint64_t{1} << 61)); }, kCorrupt,
     "declares 2305843009213693952 values of type uint64"},
    {"array 2^62+1 of float32",
     [](auto& f) { add_key(f, GgufType::kArray, array_header(GgufType::kFloat32, (uint64_t{1} << 62) + 1)); }, kCorrupt,
     "values of type float32"},
    {"array 2^61 of string",
     [](auto& f) { add_key(f, GgufType::kArray, array_header(GgufType::kString, uint64_t{1} << 61)); }, kCorrupt,
     "values of type string"},
    {"array one too long",
     [](auto& f) { f.keys[4].payload = array_of(GgufType::kString, 3, counted("one") + counted("")); }, kCorrupt,
     "name of tensor 1 of 2 at byte"},
    {"array string 2^64-1",
     [](auto& f) { f.keys[4].payload = array_of(GgufType::kString, 2, counted("one") + le(kHuge)); }, kCorrupt,
     "a string of key t.texts"},
    {"alignment 0", [](auto& f) { f.keys[1].payload = le<uint32_t>(0); }, kCorrupt, "is 0, not a power of two"},
    {"alignment 1", [](auto& f) { f.keys[1].payload = le<uint32_t>(1); }, kCorrupt, "is 1, not a power of two from 8"},
    {"alignment 48", [](auto& f) { f.keys[1].payload = le<uint32_t>(48); }, kCorrupt, "is 48, not a power of two"},
    {"alignment 2^31", [](auto& f) { f.keys[1].payload = le<uint32_t>(1u << 31); }, kCorrupt, "is 2147483648, not"},
    {"alignment as text",
     [](auto& f) {
       f.keys[1].type = GgufType::kString;
       f.keys[1].payload = counted("32");
     },
     kCorrupt, "is a string, not an unsigned integer"},
    {"alignment negative",
     [](auto& f) {
       f.keys[1].type = GgufType::kInt32;
       f.keys[1].payload = le<int32_t>(-32);
     },
     kCorrupt, "not an unsigned integer"},
};

const Damage kTensorDamages[] = {
    {"tensor name 2^64-1", [](auto& f) { f.tensors[0].name_length = kHuge; }, kCorrupt, "name of tensor 1 of 2"},
    {"tensor name too long", [](auto& f) { f.tensors[0].name = std::string(65, 'n'); }, kCorrupt,
     "has length 65, at most 64"},
    {"tensor name empty", [](auto& f) { f.tensors[0].name = ""; }, kCorrupt, "has no name"},
    {"tensor twice", [](auto& f) { f.tensors[1].name = "first"; }, kCorrupt, "tensor first occurs twice"},
    {"no dimensions", [](auto& f) { f.tensors[0].dims = {}; }, kCorrupt, "has 0 dimensions, 1 to 4"},
    {"five dimensions", [](auto& f) { f.tensors[0].dims = {8, 2, 1, 1, 1}; }, kCorrupt, "has 5 dimensions"},
    {"2^32-1 dimensions", [](auto& f) { f.tensors[0].n_dims = 0xffffffff; }, kCorrupt, "has 4294967295 dimensions"},
    {"row of 0", [](auto& f) { f.tensors[0].dims = {0, 2}; }, kCorrupt, "has dimension 0 of 0"},
    {"0 rows", [](auto& f) { f.tensors[0].dims = {8, 0}; }, kCorrupt, "has dimension 1 of 0"},
    {"fourth dimension 0", [](auto& f) { f.tensors[0].dims = {8, 2, 1, 0}; }, kCorrupt, "has dimension 3 of 0"},
    {"2^64-1 elements", [](auto& f) { f.tensors[0].dims = {kHuge}; }, kCorrupt, "more than 2^63 elements"},
    {"product wraps to 0", [](auto& f) { f.tensors[0].dims = {uint64_t{1} << 32, uint64_t{1} << 32}; }, kCorrupt,
     "more than 2^63 elements"},
    {"product wraps to 16", [](auto& f) { f.tensors[0].dims = {16, (uint64_t{1} << 60) + 1}; }, kCorrupt,
     "more than 2^63 elements"},
    {"bytes wrap", [](auto& f) { f.tensors[0].dims = {uint64_t{1} << 62}; }, kCorrupt, "ends beyond 2^64"},
    {"type 9999", [](auto& f) { f.tensors[0].type = 9999; }, kUnsupported,
     "type number 9999, which this build does not know"},
    {"removed type 4", [](auto& f) { f.tensors[0].type = 4; }, kUnsupported, "tensor first at byte"},
    {"row no multiple of the block", [](auto& f) { f.tensors[1].dims = {33}; }, kCorrupt,
     "rows of 33 elements, q4_0 needs a multiple of 32"},
    {"blocks across rows", [](auto& f) { f.tensors[1].dims = {16, 2}; }, kCorrupt, "rows of 16 elements"},
    {"offset off by one", [](auto& f) { f.tensors[1].offset = 65; }, kCorrupt,
     "offset 65, not a multiple of the alignment 32"},
    {"offset of a smaller alignment", [](auto& f) { f.tensors[1].offset = 80; }, kCorrupt,
     "not a multiple of the alignment"},
    {"offset 2^64-32", [](auto& f) { f.tensors[1].offset = kHuge - 31; }, kCorrupt, "ends beyond 2^64"},
    {"offset 2^63", [](auto& f) { f.tensors[1].offset = uint64_t{1} << 63; }, kCorrupt, "the download is incomplete"},
    {"offset past the end", [](auto& f) { f.tensors[1].offset = 128; }, kCorrupt, "the download is incomplete"},
    {"overlap whole", [](auto& f) { f.tensors[1].offset = 0; }, kCorrupt, "overlap at byte"},
    {"overlap partly", [](auto& f) { f.tensors[1].offset = 32; }, kCorrupt, "tensors first and second overlap"},
    {"overlap in reverse order",
     [](auto& f) {
       f.tensors[0].offset = 32;
       f.tensors[1].offset = 64;
       f.data_bytes = 96;
     },
     kCorrupt, "overlap"},
    {"tensor too large", [](auto& f) { f.tensors[1].dims = {32, 2}; }, kCorrupt, "the download is incomplete"},
    {"tensor far too large", [](auto& f) { f.tensors[1].dims = {32, uint64_t{1} << 40}; }, kCorrupt,
     "tensor second ends at byte 19791209300"},
    {"data missing", [](auto& f) { f.data_bytes = 0; }, kCorrupt, "tensor first ends at byte"},
    {"last byte missing", [](auto& f) { f.data_bytes -= 1; }, kCorrupt, "tensor second ends at byte"},
    {"alignment larger than written",
     [](auto& f) {
       f.keys[1].payload = le<uint32_t>(4096);
       f.tensors[1].offset = 4096;
     },
     kCorrupt, "the download is incomplete"},
    {"control characters in a name",
     [](auto& f) {
       f.tensors[0].name = "\x1b[2J\n";
       f.tensors[0].type = 9999;
     },
     kUnsupported, "tensor \\x1b[2J\\x0a at byte"},
};

void expect_damage(const Damage& damage) {
  SCOPED_TRACE(damage.name);
  RawGguf file;
  damage.apply(file);
  const auto bytes = file.build();
  const auto view = GgufView::parse(bytes, "dir/bad.gguf");
  ASSERT_FALSE(view) << "was taken for a good file";
  EXPECT_EQ(static_cast<int>(view.error().code), static_cast<int>(damage.code)) << view.error().message;
  EXPECT_THAT(view.error().message, HasSubstr(damage.message));
  EXPECT_EQ(view.error().message.rfind("dir/bad.gguf: ", 0), 0u) << view.error().message;
}

TEST(GgufDamage, TheUndamagedFileParses) {
  const auto bytes = RawGguf{}.build();
  const auto view = GgufView::parse(bytes, "good.gguf");
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_GT(touch(*view), 0u);
}

TEST(GgufDamage, Header) {
  for (const auto& damage : kHeaderDamages) expect_damage(damage);
}
TEST(GgufDamage, Keys) {
  for (const auto& damage : kKeyDamages) expect_damage(damage);
}
TEST(GgufDamage, Tensors) {
  for (const auto& damage : kTensorDamages) expect_damage(damage);
  EXPECT_GE(std::size(kHeaderDamages) + std::size(kKeyDamages) + std::size(kTensorDamages), 60u);
}

TEST(GgufDamage, TruncatedAtEverySection) {
  RawGguf file;
  const auto bytes = file.build();
  for (const auto& [section, end] : file.sections) {
    if (end == bytes.size()) continue;
    SCOPED_TRACE(section);
    // A copy of the exact size, so that a sanitizer sees a read beyond it.
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(end));
    const auto view = GgufView::parse(cut, "cut.gguf");
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, kCorrupt);
    EXPECT_THAT(view.error().message, HasSubstr("incomplete"));
  }
}

TEST(GgufDamage, TruncatedAtEveryByte) {
  const auto bytes = RawGguf{}.build();
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    const auto view = GgufView::parse(cut, "cut.gguf");
    ASSERT_FALSE(view) << n << " bytes were taken for a good file";
    EXPECT_EQ(view.error().code, kCorrupt) << n;
    EXPECT_THAT(view.error().message, n == 0 ? HasSubstr("empty") : HasSubstr("incomplete")) << n;
  }
}

TEST(GgufDamage, EveryByteReplaced) {
  const auto bytes = RawGguf{}.build();
  size_t good = 0, bad = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      auto changed = bytes;
      changed[at] = static_cast<std::byte>(value);
      const auto view = GgufView::parse(changed, "changed.gguf");
      if (view) {
        touch(*view);
        ++good;
      } else {
        EXPECT_THAT(view.error().message, HasSubstr("changed.gguf: "));
        ++bad;
      }
    }
  }
  EXPECT_GT(good, 0u);
  EXPECT_GT(bad, 0u);
}

TEST(GgufDamage, TrailingBytesAreAllowed) {
  RawGguf file;
  file.data_bytes += 1000;
  const auto bytes = file.build();
  EXPECT_TRUE(GgufView::parse(bytes, "padded.gguf"));
}

TEST(GgufDamage, NoTensorsNeedNoPadding) {
  RawGguf file;
  file.tensors.clear();
  file.data_bytes = 0;
  file.alignment = 1;
  const auto bytes = file.build();
  const auto view = GgufView::parse(bytes, "vocabulary.gguf");
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->keys().size(), 5u);
}

}  // namespace
}  // namespace quern
