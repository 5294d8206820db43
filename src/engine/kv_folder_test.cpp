#include "engine/kv_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <semaphore>
#include <thread>

#include "os/file.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr KvShape kShape{.n_layers = 2, .n_kv_heads = 2, .head_dim = 16};
constexpr uint64_t kFile = kKvPageHeaderBytes + 64 * 2 * 2 * 16 * 2 * 2;
using Ids = std::vector<int32_t>;

Ids ids_from(int32_t first, size_t n) {
  Ids ids(n);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

// What page `i` of the sequence that begins with `first` holds.
void fill(int32_t first, size_t i, std::span<std::byte> to) {
  for (size_t at = 0; at < to.size(); ++at) {
    to[at] = static_cast<std::byte>(static_cast<size_t>(first) * 31 + i * 7 + at * 13);
  }
}

class KvFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = (fs::temp_directory_path() / "quern-kv-XXXXXX").string();
    ASSERT_NE(::mkdtemp(root_.data()), nullptr);
    options_ = {.folder = root_ + "/a/kv", .model_key = "model", .shape = kShape, .limit_bytes = 1000 * kFile};
  }
  void TearDown() override { fs::remove_all(root_); }

  std::unique_ptr<KvFolder> open() const { return open(options_); }
  static std::unique_ptr<KvFolder> open(const KvFolderOptions& options) {
    auto folder = KvFolder::open(options);
    EXPECT_TRUE(folder.has_value()) << folder.error().message;
    return std::move(*folder);
  }
  // Keeps all pages of the sequence ids_from(first, n), and waits.
  static size_t keep(KvFolder& folder, int32_t first, size_t n, std::string_view tenant = "t") {
    const size_t queued =
        folder.keep(tenant, ids_from(first, n), 0, [first](size_t i, std::span<std::byte> to) { fill(first, i, to); });
    folder.flush();
    return queued;
  }
  // How many pages of the sequence come back, all of them as they were.
  static size_t restore(KvFolder& folder, int32_t first, size_t n, size_t from = 0, std::string_view tenant = "t") {
    const auto fetch = folder.fetch(tenant, ids_from(first, n), from, SIZE_MAX);
    folder.flush();
    EXPECT_TRUE(fetch->ended());
    size_t pages = 0;
    std::vector<std::byte> want(kShape.page_bytes());
    while (const auto page = fetch->take()) {
      fill(first, from / kKvPageTokens + pages++, want);
      EXPECT_EQ(page->payload().size(), want.size());
      EXPECT_EQ(std::memcmp(page->payload().data(), want.data(), want.size()), 0);
    }
    return pages;
  }
  size_t available(const KvFolder& folder, int32_t first, size_t n, size_t from = 0) const {
    return folder.available("t", ids_from(first, n), from);
  }
  // Of the i-th page of a sequence.
  std::string path(int32_t first, size_t i, std::string_view tenant = "t") const {
    Digest key = kv_root_key(options_.model_key, options_.shape, tenant);
    for (size_t page = 0; page <= i; ++page) {
      key = kv_page_key(key, ids_from(first + static_cast<int32_t>(page * kKvPageTokens), kKvPageTokens));
    }
    return options_.folder + "/" + to_hex(key) + ".qkv";
  }
  size_t n_files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(options_.folder), fs::directory_iterator()));
  }
  static void age(const std::string& path, int minutes) {
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::minutes(minutes));
  }

  std::string root_;
  KvFolderOptions options_;
};

void flip(const std::string& path, size_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const int c = file.get();
  file.seekp(static_cast<std::streamoff>(at));
  file.put(static_cast<char>(c ^ 1));
}

TEST_F(KvFolderTest, KeepsWholePagesOverARestart) {
  {
    const auto folder = open();
    EXPECT_EQ(keep(*folder, 0, 300), 4u);
    EXPECT_EQ(keep(*folder, 0, 300), 0u);  // there already
    EXPECT_EQ(keep(*folder, 0, 63), 0u);
    EXPECT_EQ(restore(*folder, 0, 300), 4u);
    const KvFolderStats stats = folder->stats();
    EXPECT_EQ(stats.writes, 4u);
    EXPECT_EQ(stats.hits, 4u);
    EXPECT_EQ(stats.files, 4u);
    EXPECT_EQ(stats.bytes, 4 * kFile);
    EXPECT_EQ(stats.errors + stats.dropped + stats.removed, 0u);
    EXPECT_EQ(stats.notice, "");
  }
  EXPECT_EQ(n_files(), 4u);
  const auto folder = open();
  EXPECT_EQ(available(*folder, 0, 300), 4u);
  EXPECT_EQ(available(*folder, 0, 255), 3u);
  EXPECT_EQ(available(*folder, 0, 300, 130), 2u);
  EXPECT_EQ(available(*folder, 0, 300, 256), 0u);
  EXPECT_EQ(available(*folder, 0, 300, 100000), 0u);
  EXPECT_EQ(available(*folder, 1, 300), 0u);
  EXPECT_EQ(restore(*folder, 0, 300), 4u);
  EXPECT_EQ(restore(*folder, 0, 300, 128), 2u);
  EXPECT_EQ(restore(*folder, 1, 300), 0u);
  EXPECT_EQ(folder->stats().hits, 6u);
}

TEST_F(KvFolderTest, WritesWhatIsQueuedBeforeItEnds) {
  {
    const auto folder = open();
    const Ids ids = ids_from(5, 640);
    EXPECT_EQ(folder->keep("t", ids, 0, [](size_t i, std::span<std::byte> to) { fill(5, i, to); }), 10u);
  }
  EXPECT_EQ(restore(*open(), 5, 640), 10u);
}

TEST_F(KvFolderTest, AKillLosesOnlyWhatIsQueued) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto folder = KvFolder::open(options_).value();
    for (int32_t first = 0;; first += 1000) {  // until it is killed in the midst of writing
      folder->keep("t", ids_from(first, 640), 0, [&](size_t i, std::span<std::byte> to) { fill(first, i, to); });
      if (folder->stats().writes >= 5) ::raise(SIGKILL);
    }
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const auto folder = open();
  EXPECT_GE(folder->stats().files, 5u);
  EXPECT_GE(restore(*folder, 0, 640), 5u);
  EXPECT_EQ(folder->stats().errors, 0u);
}

TEST_F(KvFolderTest, ASharedPrefixIsKeptOnce) {
  const auto folder = open();
  keep(*folder, 0, 128);
  Ids other = ids_from(0, 128);
  const Ids tail = ids_from(5000, 64);
  other.insert(other.end(), tail.begin(), tail.end());
  std::vector<size_t> asked;
  EXPECT_EQ(folder->keep("t", other, 0,
                         [&](size_t i, std::span<std::byte> to) {
                           asked.push_back(i);
                           fill(0, i, to);
                         }),
            1u);
  folder->flush();
  EXPECT_THAT(asked, testing::ElementsAre(2));
  EXPECT_EQ(n_files(), 3u);
}

TEST_F(KvFolderTest, TenantsModelsAndShapesNeverMeet) {
  {
    const auto folder = open();
    keep(*folder, 0, 128, "t");
    EXPECT_EQ(folder->available("u", ids_from(0, 128), 0), 0u);
    EXPECT_EQ(folder->available("", ids_from(0, 128), 0), 0u);
    EXPECT_EQ(restore(*folder, 0, 128, 0, "u"), 0u);
    keep(*folder, 0, 128, "u");
    EXPECT_EQ(n_files(), 4u);
  }
  auto other = options_;
  other.model_key = "model2";
  EXPECT_EQ(available(*open(other), 0, 128), 0u);
  other = options_;
  other.shape = {.n_layers = 4, .n_kv_heads = 1, .head_dim = 16};
  EXPECT_EQ(available(*open(other), 0, 128), 0u);
  EXPECT_EQ(available(*open(), 0, 128), 2u);
}

// A page under a name that is not its own, which only somebody who copies files brings about.
TEST_F(KvFolderTest, AMisnamedPageIsNotBelieved) {
  const auto folder = open();
  keep(*folder, 0, 128, "t");
  keep(*folder, 0, 64, "u");
  fs::copy_file(path(0, 0, "t"), path(0, 0, "u"), fs::copy_options::overwrite_existing);
  EXPECT_EQ(restore(*folder, 0, 64, 0, "u"), 0u);
  fs::copy_file(path(0, 0, "t"), path(0, 1, "t"), fs::copy_options::overwrite_existing);
  EXPECT_EQ(restore(*folder, 0, 128), 1u);
  EXPECT_EQ(folder->stats().errors, 2u);
  EXPECT_EQ(n_files(), 1u);
}

TEST_F(KvFolderTest, ADamagedPageEndsTheRunAndIsRemoved) {
  const auto damage = [](size_t at) { return [at](const std::string& p) { flip(p, at); }; };
  const auto cut = [](size_t n) { return [n](const std::string& p) { fs::resize_file(p, n); }; };
  const std::vector<std::function<void(const std::string&)>> ways = {
      damage(0),         damage(20), damage(40), damage(100),    damage(340),
      damage(kFile - 1), cut(0),     cut(10),    cut(kFile - 1), cut(kFile + 1)};
  for (size_t i = 0; i < ways.size(); ++i) {
    SCOPED_TRACE(i);
    const auto folder = open();
    keep(*folder, 0, 256);
    ways[i](path(0, 2));
    EXPECT_EQ(available(*folder, 0, 256), 4u);  // by names
    EXPECT_EQ(restore(*folder, 0, 256), 2u);
    EXPECT_EQ(available(*folder, 0, 256), 2u);
    EXPECT_FALSE(fs::exists(path(0, 2)));
    EXPECT_EQ(folder->stats().errors, 1u);
    EXPECT_THAT(folder->stats().notice, HasSubstr("damaged page is removed"));
    EXPECT_EQ(keep(*folder, 0, 256), 1u);  // computed anew, kept again
    EXPECT_EQ(restore(*folder, 0, 256), 4u);
  }
}

TEST_F(KvFolderTest, AFullDiskStopsTheWritingForAWhile) {
  const auto folder = open();
  keep(*folder, 0, 128);
  struct rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small{kFile / 2, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  keep(*folder, 1000, 256);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(folder->stats().errors, 1u);  // one attempt, not one for each page
  EXPECT_EQ(folder->stats().dropped, 4u);
  EXPECT_THAT(folder->stats().notice, HasSubstr("cannot write"));
  EXPECT_EQ(n_files(), 2u);                 // no half page, no temporary file
  EXPECT_EQ(keep(*folder, 1000, 256), 0u);  // for retry_s
  EXPECT_EQ(folder->stats().dropped, 8u);
  EXPECT_EQ(folder->stats().errors, 1u);
  EXPECT_EQ(restore(*folder, 0, 128), 2u);  // reading goes on
}

TEST_F(KvFolderTest, WritesAgainAfterTheWhile) {
  options_.retry_s = 0;
  const auto folder = open();
  fs::remove_all(options_.folder);
  EXPECT_EQ(keep(*folder, 0, 128), 2u);
  EXPECT_EQ(folder->stats().errors, 1u);
  EXPECT_EQ(available(*folder, 0, 128), 0u);
  fs::create_directories(options_.folder);
  EXPECT_EQ(keep(*folder, 0, 128), 2u);
  EXPECT_EQ(restore(*folder, 0, 128), 2u);
}

TEST_F(KvFolderTest, AFolderThatCannotBeMadeIsAnErrorAtOnce) {
  std::ofstream(root_ + "/a") << "a file";
  const auto folder = KvFolder::open(options_);
  ASSERT_FALSE(folder.has_value());
  EXPECT_THAT(folder.error().message, HasSubstr("/a"));
  options_.limit_bytes = kFile - 1;
  EXPECT_EQ(KvFolder::open(options_).error().code, ErrorCode::kInvalidArgument);
  options_.shape = {};
  EXPECT_EQ(KvFolder::open(options_).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(KvFolderTest, RemovesWhatWasUsedLongestAgo) {
  options_.limit_bytes = 6 * kFile;
  const auto folder = open();
  keep(*folder, 0, 128);
  keep(*folder, 1000, 128);
  keep(*folder, 2000, 128);
  EXPECT_EQ(n_files(), 6u);
  for (const size_t i : {0, 1}) {
    age(path(0, i), 30);
    age(path(1000, i), 20);
    age(path(2000, i), 10);
  }
  EXPECT_EQ(restore(*folder, 0, 128), 2u);  // a use
  keep(*folder, 3000, 64);                  // to a sixteenth below the limit: five pages
  EXPECT_EQ(available(*folder, 1000, 128), 0u);
  EXPECT_EQ(available(*folder, 0, 128), 2u);
  EXPECT_EQ(available(*folder, 2000, 128), 2u);
  EXPECT_EQ(available(*folder, 3000, 64), 1u);
  EXPECT_EQ(folder->stats().removed, 2u);
  EXPECT_EQ(folder->stats().bytes, 5 * kFile);
  age(path(0, 0), 40);
  EXPECT_EQ(keep(*folder, 0, 128), 0u);  // a use as well
  keep(*folder, 4000, 128);
  EXPECT_EQ(available(*folder, 0, 128), 2u);
  EXPECT_EQ(available(*folder, 2000, 128), 0u);
}

// The first pages of a prefix are written first, and are of no less use than the last.
TEST_F(KvFolderTest, APrefixLosesItsEndFirst) {
  options_.limit_bytes = 6 * kFile;
  const auto folder = open();
  for (const size_t n : {128, 256, 384, 512, 640}) keep(*folder, 0, n);  // as the prompt is read
  EXPECT_GE(available(*folder, 0, 640), 5u);
  EXPECT_LE(n_files(), 6u);
}

TEST_F(KvFolderTest, TheLimitHoldsAtStartAndOverModels) {
  {
    const auto folder = open();
    keep(*folder, 0, 640);
  }
  options_.model_key = "another";
  options_.limit_bytes = 4 * kFile;
  const auto folder = open();
  EXPECT_EQ(n_files(), 3u);
  EXPECT_EQ(folder->stats().removed, 7u);
  keep(*folder, 0, 256);
  EXPECT_LE(n_files(), 4u);
  EXPECT_GE(available(*folder, 0, 256), 3u);
}

TEST_F(KvFolderTest, RemovesTemporaryFilesOfTheDead) {
  (void)open();
  const std::string dead = path(0, 0) + ".tmp-1-1", living = path(0, 0) + ".tmp-1-2", fresh = path(0, 0) + ".tmp-1-3";
  const std::string other = options_.folder + "/notes.txt";
  for (const auto& p : {dead, living, fresh, other}) std::ofstream(p) << "x";
  auto writer = File::open(living, File::Mode::kReadWrite).value();
  ASSERT_TRUE(writer.try_lock().value());
  for (const auto& p : {dead, living, other}) age(p, 5);
  (void)open();
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(living));
  EXPECT_TRUE(fs::exists(fresh));
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(KvFolderTest, TwoInstancesShareAFolder) {
  const auto one = open(), two = open();
  keep(*one, 0, 128);
  EXPECT_EQ(available(*two, 0, 128), 0u);  // not looked at since
  keep(*two, 0, 128);
  EXPECT_EQ(two->stats().writes, 0u);  // seen when it was to be written
  EXPECT_EQ(restore(*two, 0, 128), 2u);
  fs::remove(path(0, 0));  // one of them, to keep its limit
  EXPECT_EQ(restore(*one, 0, 128), 0u);
  EXPECT_EQ(one->stats().errors, 0u);
  EXPECT_EQ(keep(*one, 0, 128), 1u);
  EXPECT_EQ(restore(*two, 0, 128), 2u);
}

TEST_F(KvFolderTest, OnlyThisUserMayRead) {
  const auto folder = open();
  keep(*folder, 0, 64);
  EXPECT_EQ(fs::status(options_.folder).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(path(0, 0)).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(KvFolderTest, DropsWhatTheQueueHasNoRoomFor) {
  options_.shape = {.n_layers = 64, .n_kv_heads = 16, .head_dim = 128};  // 32 MB a page
  options_.limit_bytes = uint64_t{1} << 30;
  const auto folder = open();
  // The queue is held full by a read_page that keeps another.
  size_t inner = 0, outer = 0;
  outer = folder->keep("t", ids_from(0, 64), 0, [&](size_t, std::span<std::byte> to) {
    to[0] = std::byte{1};
    inner = folder->keep("t", ids_from(1000, 192), 0, [](size_t, std::span<std::byte> t) { t[0] = std::byte{2}; });
  });
  EXPECT_EQ(outer, 1u);
  EXPECT_EQ(inner, 0u);  // two pages and their headers are more than 64 MB
  EXPECT_EQ(folder->stats().dropped, 3u);
  folder->flush();
  EXPECT_EQ(folder->keep("t", ids_from(1000, 192), 0, [](size_t, std::span<std::byte> t) { t[0] = std::byte{2}; }), 1u);
}

TEST_F(KvFolderTest, WakesWhoFetches) {
  const auto folder = open();
  keep(*folder, 0, 192);
  std::counting_semaphore<> wakes(0);
  const auto fetch = folder->fetch("t", ids_from(0, 192), 64, 5, [&] { wakes.release(); });
  // Once for each page, the second of which is the end.
  wakes.acquire();
  EXPECT_TRUE(fetch->take().has_value());
  wakes.acquire();
  EXPECT_TRUE(fetch->ended());
  EXPECT_TRUE(fetch->take().has_value());
  EXPECT_FALSE(fetch->take().has_value());
  folder->flush();
  EXPECT_FALSE(wakes.try_acquire());
  const auto none = folder->fetch("t", ids_from(7, 192), 0, 5, [&] { wakes.release(); });
  EXPECT_TRUE(none->ended());
  folder->flush();
  EXPECT_FALSE(wakes.try_acquire());
}

TEST_F(KvFolderTest, AFetchMayBeLetGoOrOutliveTheFolder) {
  std::shared_ptr<KvFetch> left;
  {
    const auto folder = open();
    keep(*folder, 0, 640);
    for (int i = 0; i < 20; ++i) (void)folder->fetch("t", ids_from(0, 640), 0, 10);
    left = folder->fetch("t", ids_from(0, 640), 0, 10);
  }
  EXPECT_TRUE(left->ended());
  size_t pages = 0;
  while (left->take()) ++pages;
  EXPECT_LE(pages, 10u);
}

TEST_F(KvFolderTest, ManyThreadsAtOnce) {
  options_.limit_bytes = 24 * kFile;
  const auto one = open(), two = open();
  std::vector<std::thread> threads;
  for (int32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      KvFolder& folder = t % 2 == 0 ? *one : *two;
      for (int32_t round = 0; round < 12; ++round) {
        const int32_t first = (t + round) % 5 * 1000;
        const Ids ids = ids_from(first, 512);
        folder.keep("t", ids, 0, [&](size_t i, std::span<std::byte> to) { fill(first, i, to); });
        (void)folder.available("t", ids, 64);
        const auto fetch = folder.fetch("t", ids, 0, 8);
        if (round % 3 == 0) folder.flush();
        std::vector<std::byte> want(kShape.page_bytes());
        for (size_t i = 0; const auto page = fetch->take(); ++i) {
          fill(first, i, want);
          EXPECT_EQ(std::memcmp(page->payload().data(), want.data(), want.size()), 0);
        }
        (void)folder.stats();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  one->flush();
  two->flush();
  EXPECT_EQ(one->stats().errors + two->stats().errors, 0u) << one->stats().notice << "; " << two->stats().notice;
}

}  // namespace
}  // namespace quern
