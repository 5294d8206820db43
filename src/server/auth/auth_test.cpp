// Keys, limits and CORS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "server/auth/api_keys.h"
#include "server/auth/cors.h"
#include "server/auth/rate_limit.h"

namespace quern::server {
namespace {

constexpr const char* kAliceKey = "alice-0123456789abcdef";
constexpr const char* kBobKey = "bob-0123456789abcdef";

class KeyFile : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "quern_keys_" + testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  void TearDown() override { std::filesystem::remove(path_); }
  void write(const std::string& text) const {
    std::ofstream(path_) << text;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  static std::string line(const char* name, const char* key) { return key_file_line(name, key).value(); }
  std::string path_;
};

std::string name_of(const ApiKeys& keys, std::string_view authorization, std::string_view api_key = "") {
  const auto principal = keys.authenticate(authorization, api_key);
  return principal ? (*principal)->name : "refused: " + principal.error().message;
}

TEST(ApiKeysOpen, EveryoneIsAnonymous) {
  const ApiKeys keys;
  EXPECT_TRUE(keys.open());
  EXPECT_EQ(name_of(keys, ""), "anonymous");
  EXPECT_EQ(name_of(keys, "Bearer whatever"), "anonymous");
  EXPECT_EQ((*keys.authenticate("", ""))->tenant, "");
}

TEST_F(KeyFile, KnowsItsKeys) {
  write("# who may ask\n\n" + line("alice", kAliceKey) +
        " priority=7 requests_per_minute=60 tokens_per_minute=0 models=chat,default\r\n  " + line("bob", kBobKey));
  const auto keys = ApiKeys::load(path_);
  ASSERT_TRUE(keys) << keys.error().message;
  EXPECT_FALSE((*keys)->open());
  EXPECT_THAT((*keys)->warnings(), testing::IsEmpty());
  const auto alice = (*keys)->authenticate(std::string("Bearer ") + kAliceKey, "").value();
  EXPECT_EQ(alice->name, "alice");
  EXPECT_EQ(alice->tenant, "alice");
  EXPECT_EQ(alice->priority, 7);
  EXPECT_EQ(alice->requests_per_minute, 60u);
  EXPECT_EQ(alice->tokens_per_minute, 0u);
  EXPECT_TRUE(alice->may_use("chat"));
  EXPECT_FALSE(alice->may_use("other"));
  const auto bob = (*keys)->authenticate("", kBobKey).value();
  EXPECT_EQ(bob->name, "bob");
  EXPECT_EQ(bob->priority, kDefaultPriority);
  EXPECT_FALSE(bob->requests_per_minute);
  EXPECT_TRUE(bob->may_use("other"));
  EXPECT_EQ(name_of(**keys, std::string("bEARER   ") + kBobKey), "bob");
}

TEST_F(KeyFile, RefusesOthers) {
  write(line("alice", kAliceKey));
  const auto keys = ApiKeys::load(path_).value()->authenticate("", "");
  ASSERT_FALSE(keys);
  EXPECT_THAT(keys.error().message, testing::HasSubstr("needs an API key"));
  const auto loaded = ApiKeys::load(path_).value();
  const std::string key = kAliceKey;
  for (const std::string& wrong :
       {key + "x", key.substr(1), std::string("x"), std::string(5000, 'a'), std::string("\0", 1)}) {
    EXPECT_EQ(name_of(*loaded, "Bearer " + wrong), "refused: this API key is not known here");
    EXPECT_EQ(name_of(*loaded, "", wrong), "refused: this API key is not known here");
  }
  for (const char* none : {"", "Bearer", "Bearer ", "Basic abc"}) {
    EXPECT_THAT(name_of(*loaded, none), testing::HasSubstr("needs an API key")) << none;
  }
  // The hash in the file is not a key.
  EXPECT_THAT(name_of(*loaded, "Bearer " + line("alice", kAliceKey).substr(6)), testing::StartsWith("refused"));
}

TEST_F(KeyFile, SaysEveryWrongLineAndNeverAKey) {
  const std::string hex(64, 'a');
  write("alice " + std::string(kAliceKey) + "\n" + "b@d sha256:" + hex + "\n" + "c sha256:" + hex.substr(1) + "\n" +
        "d sha256:" + hex + " priority=10\n" + "e sha256:" + hex + " prioritty=1\n" + "f sha256:" + hex +
        " models=,\n" + "g sha256:" + hex + "\ng sha256:" + hex.substr(1) + "b\nh sha256:" + hex + "\n" +
        "i sha256:" + hex + " priority=1 priority=2\n");
  const auto keys = ApiKeys::load(path_);
  ASSERT_FALSE(keys);
  const std::string& text = keys.error().message;
  EXPECT_THAT(text, testing::Not(testing::HasSubstr(kAliceKey)));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n') + 1, 9) << text;
  EXPECT_THAT(text, testing::StartsWith(path_ + ":1: after the name comes sha256:"));
  EXPECT_THAT(text, testing::HasSubstr(":2: a name has at most 64"));
  EXPECT_THAT(text, testing::HasSubstr(":3: after the name"));
  EXPECT_THAT(text, testing::HasSubstr(":4: priority wants a whole number from 0 to 9"));
  EXPECT_THAT(text, testing::HasSubstr(":5: 'prioritty' is not a property of a key: did you mean priority?"));
  EXPECT_THAT(text, testing::HasSubstr(":6: models wants names"));
  EXPECT_THAT(text, testing::HasSubstr(":8: there is another key called g"));
  EXPECT_THAT(text, testing::HasSubstr(":9: h has the same key as another line"));
  EXPECT_THAT(text, testing::HasSubstr(":10: priority is given twice"));
}

TEST_F(KeyFile, WarnsOfAFileThatEveryoneReads) {
  write("# nobody\n");
  std::filesystem::permissions(path_, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  const auto keys = ApiKeys::load(path_).value();
  EXPECT_THAT(keys->warnings(), testing::ElementsAre(testing::HasSubstr("no keys"), testing::HasSubstr("chmod o-r")));
}

TEST_F(KeyFile, ReloadSwapsOrKeeps) {
  write(line("alice", kAliceKey));
  const auto keys = ApiKeys::load(path_).value();
  write(line("bob", kBobKey));
  ASSERT_TRUE(keys->reload());
  EXPECT_EQ(name_of(*keys, "", kBobKey), "bob");
  EXPECT_THAT(name_of(*keys, "", kAliceKey), testing::StartsWith("refused"));
  write("broken\n");
  const Status status = keys->reload();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, testing::StartsWith(path_ + ":1: "));
  EXPECT_EQ(name_of(*keys, "", kBobKey), "bob");
  std::filesystem::remove(path_);
  EXPECT_FALSE(keys->reload());
  EXPECT_EQ(name_of(*keys, "", kBobKey), "bob");
}

TEST_F(KeyFile, ReloadsWhileOthersAsk) {
  write(line("alice", kAliceKey));
  const auto keys = ApiKeys::load(path_).value();
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> askers;
  for (int i = 0; i < 3; ++i) {
    askers.emplace_back([&] {
      while (!stop) wrong += name_of(*keys, "", kAliceKey) != "alice";
    });
  }
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(keys->reload());
  stop = true;
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ApiKeyLine, HashesAKey) {
  EXPECT_EQ(key_file_line("alice", "0123456789abcdef\n").value(),
            "alice sha256:9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f");
  EXPECT_FALSE(key_file_line("alice", "short"));
  EXPECT_FALSE(key_file_line("alice", "0123456789 abcdef"));
  EXPECT_FALSE(key_file_line("al ice", "0123456789abcdef"));
  EXPECT_FALSE(key_file_line("", "0123456789abcdef"));
}

Principal principal(const char* name, std::optional<uint32_t> requests = {}, std::optional<uint32_t> tokens = {}) {
  Principal p;
  p.name = name;
  p.requests_per_minute = requests;
  p.tokens_per_minute = tokens;
  return p;
}

TEST(RateLimiter, RequestsFillEvenly) {
  RateLimiter limiter(6, 0);  // one in ten seconds
  const Principal alice = principal("alice"), bob = principal("bob");
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(limiter.admit(alice, 1000000, 100).allowed) << i;
  const RateDecision decision = limiter.admit(alice, 1, 100);
  EXPECT_FALSE(decision.allowed);
  EXPECT_STREQ(decision.limit, "requests");
  EXPECT_EQ(decision.retry_after_s, 10);
  EXPECT_TRUE(limiter.admit(bob, 1, 100).allowed);
  EXPECT_EQ(limiter.admit(alice, 1, 107.5).retry_after_s, 3);
  EXPECT_TRUE(limiter.admit(alice, 1, 110).allowed);
  EXPECT_FALSE(limiter.admit(alice, 1, 110).allowed);
  // Not more than a minute's worth, however long it was quiet; and a clock that goes back gives nothing.
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(limiter.admit(alice, 1, 1e6).allowed) << i;
  EXPECT_FALSE(limiter.admit(alice, 1, 1e6).allowed);
  EXPECT_FALSE(limiter.admit(alice, 1, 50).allowed);
}

TEST(RateLimiter, TokensMayGoIntoDebt) {
  RateLimiter limiter(0, 600);  // ten a second
  const Principal alice = principal("alice");
  EXPECT_TRUE(limiter.admit(alice, 5000, 0).allowed);  // more than there ever are, but all were there
  RateDecision decision = limiter.admit(alice, 1, 0);
  EXPECT_FALSE(decision.allowed);
  EXPECT_STREQ(decision.limit, "tokens");
  EXPECT_EQ(decision.retry_after_s, 441);  // 4,400 of debt and the one
  EXPECT_TRUE(limiter.admit(alice, 1, 441).allowed);
  limiter.charge(alice, 100, 441);
  EXPECT_FALSE(limiter.admit(alice, 0, 441).allowed);
  EXPECT_TRUE(limiter.admit(alice, 0, 451.5).allowed);
}

TEST(RateLimiter, OwnFiguresComeFirst) {
  RateLimiter limiter(1, 1);
  const Principal free = principal("free", 0, 0), two = principal("two", 2, 0);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(limiter.admit(free, 1 << 20, 5).allowed);
  EXPECT_TRUE(limiter.admit(two, 9, 5).allowed);
  EXPECT_TRUE(limiter.admit(two, 9, 5).allowed);
  EXPECT_FALSE(limiter.admit(two, 9, 5).allowed);
  // A limit that came with a reload counts from then on, with a full bucket.
  EXPECT_TRUE(limiter.admit(principal("free", 1, 0), 1, 5).allowed);
  EXPECT_FALSE(limiter.admit(principal("free", 1, 0), 1, 5).allowed);
}

TEST(RateLimiter, ForgetsThoseThatAreQuiet) {
  RateLimiter limiter(60, 0);
  for (size_t i = 0; i < 2 * kMaxKeys; ++i) {
    EXPECT_TRUE(limiter.admit(principal(std::to_string(i).c_str()), 1, 0).allowed);
  }
  EXPECT_EQ(limiter.size(), 2 * kMaxKeys);
  EXPECT_TRUE(limiter.admit(principal("late"), 1, 100).allowed);
  EXPECT_EQ(limiter.size(), 1u);
}

TEST(RateLimiter, CountsAcrossThreads) {
  RateLimiter limiter(1000, 0);
  const Principal alice = principal("alice");
  std::atomic<int> allowed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) allowed += limiter.admit(alice, 1, 7).allowed;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(allowed, 1000);
}

std::string header(const HeaderList& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "absent";
}

TEST(Cors, AnswersExactOrigins) {
  const std::vector<std::string> allowed = {"https://a.example", "https://b.example"};
  const auto ours = cors_headers(allowed, {.method = "POST", .origin = "https://b.example"});
  EXPECT_EQ(header(ours, "Access-Control-Allow-Origin"), "https://b.example");
  EXPECT_EQ(header(ours, "Vary"), "Origin");
  EXPECT_EQ(header(ours, "Access-Control-Expose-Headers"), "retry-after, x-request-id");
  EXPECT_EQ(header(ours, "Access-Control-Allow-Credentials"), "absent");
  for (const char* other : {"https://a.example.evil", "http://a.example", "https://a.example:1", "null", ""}) {
    const auto theirs = cors_headers(allowed, {.method = "POST", .origin = other});
    EXPECT_EQ(theirs.size(), 1u) << other;
    EXPECT_EQ(header(theirs, "Vary"), "Origin") << other;
  }
  EXPECT_TRUE(cors_headers({}, {.method = "POST", .origin = "https://a.example"}).empty());
}

TEST(Cors, AnswersAnyOrigin) {
  const std::vector<std::string> any = {"*"};
  const auto headers = cors_headers(any, {.method = "GET", .origin = "https://x.example"});
  EXPECT_EQ(header(headers, "Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(header(headers, "Vary"), "absent");
}

TEST(Cors, AnswersPreflights) {
  const std::vector<std::string> any = {"*"};
  CorsRequest request{.method = "OPTIONS",
                      .origin = "https://x.example",
                      .requested_method = "POST",
                      .requested_headers = "authorization, x-stainless-os"};
  EXPECT_TRUE(is_preflight(request));
  auto headers = cors_headers(any, request);
  EXPECT_EQ(header(headers, "Access-Control-Allow-Headers"), "authorization, x-stainless-os");
  EXPECT_THAT(header(headers, "Access-Control-Allow-Methods"), testing::HasSubstr("POST"));
  EXPECT_EQ(header(headers, "Access-Control-Max-Age"), "600");
  request.requested_headers = "x\r\nset-cookie: a";
  EXPECT_THAT(header(cors_headers(any, request), "Access-Control-Allow-Headers"), testing::HasSubstr("authorization"));
  request.requested_method = "";
  EXPECT_FALSE(is_preflight(request));
  EXPECT_FALSE(is_preflight({.method = "OPTIONS", .requested_method = "POST"}));
}

}  // namespace
}  // namespace quern::server
