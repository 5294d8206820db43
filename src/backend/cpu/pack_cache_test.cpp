// The cache of packed weights, by backends that load the same small file again and again.
#include "backend/cpu/pack_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "backend/cpu/cpu_backend.h"
#include "base/rng.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr size_t kRows = 100, kCols = 4096, kMatrices = 14;  // 14 x 435 KB: three windows of 2 MB

class PackCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = (fs::temp_directory_path() / "quern-pack-XXXXXX").string();
    ASSERT_NE(::mkdtemp(root_.data()), nullptr);
    folder_ = root_ + "/packed";
    write_model("model", 1);
  }
  void TearDown() override { fs::remove_all(root_); }

  [[nodiscard]] std::string path(const std::string& name) const { return root_ + "/" + name; }

  // Old enough for its times to be trusted.
  void write_model(const std::string& name, uint64_t seed) {
    std::vector<std::byte> bytes(kMatrices * kRows * *row_bytes(TensorType::kQ8_0, kCols));
    SplitMix64 rng(seed);
    for (std::byte& b : bytes) b = static_cast<std::byte>(rng.next() & 0x3f);
    std::ofstream(path(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }

  struct Loaded {
    std::unique_ptr<MappedFile> file;
    std::unique_ptr<Backend> backend;
    std::vector<std::unique_ptr<Matrix>> matrices;
    BackendInfo info;
    [[nodiscard]] bool mapped() const { return info.weights == "mapped from the cache"; }
    [[nodiscard]] bool kept() const { return info.weights.ends_with("and kept"); }
    [[nodiscard]] std::string bytes() const {
      std::string all;
      for (const auto& m : matrices) {
        const auto packed = static_cast<const CpuMatrix&>(*m).packed;
        all.append(reinterpret_cast<const char*>(packed.data()), packed.size());
      }
      return all;
    }
  };

  Loaded load(const std::string& name, std::optional<PackCacheOptions> cache, size_t n = kMatrices,
              unsigned threads = 2) {
    Loaded l;
    l.file = std::make_unique<MappedFile>(MappedFile::open(path(name)).value());
    l.backend = make_cpu_backend({.threads = threads, .files = {l.file.get()}, .pack_cache = cache}).value();
    const size_t bytes = kRows * *row_bytes(TensorType::kQ8_0, kCols);
    for (size_t i = 0; i < n; ++i) {
      l.matrices.push_back(l.backend
                               ->make_matrix({.name = "m" + std::to_string(i / 2),  // two parts of a tensor
                                              .type = TensorType::kQ8_0,
                                              .rows = kRows,
                                              .cols = kCols,
                                              .data = l.file->bytes().subspan(i * bytes, bytes),
                                              .first_row = i % 2 * kRows})
                               .value());
    }
    EXPECT_TRUE(l.backend->finish_weights().has_value());
    l.info = l.backend->info();
    return l;
  }
  Loaded load(const std::string& name = "model") { return load(name, cache()); }
  [[nodiscard]] PackCacheOptions cache() const { return {.folder = folder_, .min_model_bytes = 0}; }

  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> names;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder_, none)) {
      if (entry.is_regular_file()) names.push_back(entry.path().string());
    }
    return names;
  }
  [[nodiscard]] std::string pack() const {
    const auto all = files();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? "" : all[0];
  }

  std::string root_, folder_;
};

void patch(const std::string& path, size_t at, char value) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(value);
}

TEST_F(PackCacheTest, SecondLoadMapsTheSameBytes) {
  const auto plain = load("model", std::nullopt);
  EXPECT_FALSE(plain.mapped());
  EXPECT_THAT(files(), IsEmpty());
  const auto first = load();
  EXPECT_TRUE(first.kept()) << first.info.weights;
  EXPECT_THAT(first.info.notices, IsEmpty());
  const auto pack_bytes = MappedFile::open(pack()).value();
  EXPECT_TRUE(verify_pack(pack_bytes.bytes()).has_value());
  const auto second = load("model", cache(), kMatrices, 1);
  EXPECT_TRUE(second.mapped()) << second.info.weights;
  EXPECT_THAT(second.info.notices, IsEmpty());
  EXPECT_EQ(plain.bytes(), first.bytes());
  EXPECT_EQ(plain.bytes(), second.bytes());
}

TEST_F(PackCacheTest, GoesByContentNotByName) {
  (void)load();
  fs::copy_file(path("model"), path("copy"));
  EXPECT_TRUE(load("copy").mapped());
  write_model("model", 2);
  const auto changed = load();
  EXPECT_TRUE(changed.kept());
  EXPECT_EQ(changed.bytes(), load("model", std::nullopt).bytes());
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(PackCacheTest, RemembersTheContentOfSettledFiles) {
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  (void)load();
  const fs::path id = *fs::directory_iterator(folder_ + "/id");
  EXPECT_TRUE(load().mapped());
  // What is remembered is what is used: another content has another pack.
  std::ofstream(id) << std::string(32, '0');
  EXPECT_TRUE(load().kept());
  EXPECT_EQ(files().size(), 2u);
  std::ofstream(id) << "nonsense";
  EXPECT_TRUE(load().mapped());
}

TEST_F(PackCacheTest, DamagedPacksAreMadeAnew) {
  const std::string want = load().bytes(), name = pack();
  const auto damaged = [&](auto damage) {
    damage();
    const auto again = load();
    EXPECT_TRUE(again.kept());
    ASSERT_EQ(again.info.notices.size(), 1u);
    EXPECT_THAT(again.info.notices[0], HasSubstr(name));
    EXPECT_EQ(again.bytes(), want);
    EXPECT_TRUE(load().mapped());
  };
  damaged([&] { patch(name, 20, 1); });
  damaged([&] { fs::resize_file(name, fs::file_size(name) - 1); });
  damaged([&] { fs::resize_file(name, 0); });
  damaged([&] { patch(name, kPackUnsyncedOffset, 1); });  // written before another start of the system
  // A sound pack of another model under this name.
  write_model("other", 3);
  const auto other = load("other");
  std::string other_name;
  for (const auto& file : files()) {
    if (file != name) other_name = file;
  }
  damaged([&] { fs::copy_file(other_name, name, fs::copy_options::overwrite_existing); });
}

TEST_F(PackCacheTest, APackThatLacksAMatrixIsMadeAnew) {
  (void)load("model", cache(), 3);
  const auto more = load();
  ASSERT_FALSE(more.info.notices.empty());
  EXPECT_EQ(more.bytes(), load("model", std::nullopt).bytes());
  EXPECT_TRUE(load().kept());
  EXPECT_TRUE(load().mapped());
}

TEST_F(PackCacheTest, SmallModelsAreNotKept) {
  auto options = cache();
  options.min_model_bytes = fs::file_size(path("model")) + 1;
  const auto l = load("model", options);
  EXPECT_FALSE(l.kept());
  EXPECT_THAT(l.info.notices, IsEmpty());
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(PackCacheTest, AFolderThatCannotBeIsReportedAndNoError) {
  std::ofstream(path("file")) << "x";
  auto options = cache();
  options.folder = path("file") + "/packed";
  const auto l = load("model", options);
  ASSERT_EQ(l.info.notices.size(), 1u);
  EXPECT_THAT(l.info.notices[0], HasSubstr("not kept"));
  EXPECT_EQ(l.bytes(), load("model", std::nullopt).bytes());
}

// Writes fail in the middle: what is already in the file and what is not must both be right.
TEST_F(PackCacheTest, ADiskThatIsFullMidwayIsReportedAndNoError) {
  const std::string want = load("model", std::nullopt).bytes();
  struct rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  for (const size_t limit : {size_t{0}, kPackWindow, kPackWindow + 5000, 2 * kPackWindow}) {
    const struct rlimit small{limit, old.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const auto l = load();
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
    EXPECT_EQ(l.bytes(), want);
    ASSERT_EQ(l.info.notices.size(), 1u);
    EXPECT_THAT(l.info.notices[0], HasSubstr("not kept"));
    EXPECT_THAT(files(), IsEmpty());
  }
  std::signal(SIGXFSZ, handler);
}

TEST_F(PackCacheTest, KeepsItsLimit) {
  (void)load();
  const uint64_t one = fs::file_size(pack());
  auto options = cache();
  options.limit_bytes = one / 2;
  write_model("second", 2);
  const auto refused = load("second", options);
  ASSERT_EQ(refused.info.notices.size(), 1u);
  EXPECT_THAT(refused.info.notices[0], HasSubstr("may hold"));
  EXPECT_EQ(files().size(), 1u);
  options.limit_bytes = one + one / 2;  // room for one: the older goes
  EXPECT_TRUE(load("second", options).kept());
  EXPECT_EQ(files().size(), 1u);
  EXPECT_TRUE(load("second", options).mapped());
}

TEST_F(PackCacheTest, RemovesWhatWasUsedLongestAgoAndLeftBehind) {
  fs::create_directories(folder_);
  const auto now = fs::file_time_type::clock::now();
  for (int i = 0; i < 4; ++i) {
    const std::string name = fmt::format("{}/{}.qpack", folder_, i);
    std::ofstream(name) << std::string(100, 'x');
    fs::last_write_time(name, now - std::chrono::hours(10 * (i % 2) + i));  // oldest first: 3 1 2 0
  }
  std::ofstream(folder_ + "/5.qpack.tmp-1-2") << "left behind";
  std::ofstream(folder_ + "/7.qpack.tmp-1-4") << "just begun";
  auto held = File::open(folder_ + "/6.qpack.tmp-1-3", File::Mode::kCreate).value();
  for (const char* name : {"/5.qpack.tmp-1-2", "/6.qpack.tmp-1-3"}) {
    fs::last_write_time(folder_ + name, fs::file_time_type::clock::now() - std::chrono::minutes(2));
  }
  ASSERT_TRUE(held.try_lock().value());
  const auto names = [&] {
    std::vector<std::string> list;
    for (const auto& file : files()) list.push_back(fs::path(file).filename());
    std::sort(list.begin(), list.end());
    return list;
  };
  EXPECT_EQ(trim_packs(folder_, 250, folder_ + "/3.qpack"), 200u);
  EXPECT_THAT(names(), ElementsAre("0.qpack", "3.qpack", "6.qpack.tmp-1-3", "7.qpack.tmp-1-4"));
}

TEST_F(PackCacheTest, WritersAtTheSameTimeDoNotDisturbEachOther) {
  const std::string want = load("model", std::nullopt).bytes();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 3; ++i) {
        const auto l = load("model", cache(), kMatrices, 1);
        EXPECT_EQ(l.bytes(), want);
        EXPECT_THAT(l.info.notices, IsEmpty());
        if (i == 0) fs::remove_all(folder_ + "/id");
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_TRUE(load().mapped());
}

}  // namespace
}  // namespace quern
