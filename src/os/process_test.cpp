#include "os/process.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/clock.h"
#include "os/small_file.h"

namespace quern {
namespace {

TEST(RunProcess, HandsOnOutputErrorsAndTheCode) {
  std::string output;
  const auto result =
      run_process({.argv = {"sh", "-c", "echo \"$1 $NAME\"; cat; echo wrong >&2; exit 3", "sh", "a  b;'"},
                   .environment = {{"NAME", "set"}},
                   .on_output = [&](std::span<const std::byte> bytes) -> Status {
                     output.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                     return {};
                   },
                   .keep_going = {}});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(output, "a  b;' set\n");
  EXPECT_EQ(result->error_text, "wrong\n");
  EXPECT_EQ(result->exit_code, 3);
}

TEST(RunProcess, SaysThatThereIsNoSuchProgram) {
  const auto result =
      run_process({.argv = {"quern-no-such-program"}, .environment = {}, .on_output = {}, .keep_going = {}});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(run_process({}).has_value());
}

TEST(RunProcess, StopsWhenAsked) {
  const double start = now_s();
  const auto cancelled =
      run_process({.argv = {"sleep", "60"}, .environment = {}, .on_output = {}, .keep_going = [] { return false; }});
  ASSERT_FALSE(cancelled.has_value());
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  const auto refused = run_process(
      {.argv = {"sh", "-c", "echo x; exec sleep 60"},
       .environment = {},
       .on_output = [](std::span<const std::byte>) -> Status { return fail(ErrorCode::kResource, "enough"); },
       .keep_going = {}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kResource);
  EXPECT_LT(now_s() - start, 30);
}

TEST(RunProcess, KeepsTheEndOfLongErrors) {
  const auto result =
      run_process({.argv = {"sh", "-c", "head -c 100000 /dev/zero | tr '\\0' e >&2; echo end >&2; kill -9 $$"},
                   .environment = {},
                   .on_output = {},
                   .keep_going = {}});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->error_text.size(), 8192u);
  EXPECT_TRUE(result->error_text.ends_with("eend\n"));
  EXPECT_EQ(result->exit_code, 128 + 9);
}

struct Ran {
  Result<ProcessResult> result;
  std::string output;
};

Ran run_own(ProcessOptions options) {
  std::string output;
  options.own_session = options.own_environment = true;
  options.on_output = [&](std::span<const std::byte> bytes) -> Status {
    output.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  };
  auto result = run_process(options);
  return {std::move(result), std::move(output)};
}

// Whether the process that wrote its number is gone, or will be in a moment.
bool is_gone(const std::string& pid) {
  for (const double give_up = now_s() + 20; now_s() < give_up;) {
    const auto stat = read_small_file("/proc/" + pid + "/stat");
    if (!stat || stat->find(") Z ") != std::string::npos) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

TEST(RunProcess, GivesInputEnvironmentAndDirectory) {
  const std::string input(200'000, 'x');
  Ran ran = run_own({.argv = {"sh", "-c", "pwd; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=; wc -c"},
                     .environment = {{"ONLY", "one"}},
                     .directory = "/usr",
                     .input = input});
  ASSERT_TRUE(ran.result) << ran.result.error().message;
  EXPECT_EQ(ran.output, "/usr\nONLY=one\n200000\n");
  EXPECT_EQ(run_own({.argv = {"true"}, .input = input}).result->exit_code, 0);  // which reads nothing
  const auto absent = run_own({.argv = {"pwd"}, .directory = "/no/such/folder"}).result;
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().message, "pwd: there is no folder /no/such/folder");
}

TEST(RunProcess, ATimeoutEndsTheWholeSession) {
  // The child ignores SIGTERM, its own child holds the pipe.
  const Ran ran = run_own({.argv = {"sh", "-c", "trap '' TERM; sleep 600 & echo $!; wait; wait"}, .timeout_s = 0.3});
  ASSERT_FALSE(ran.result);
  EXPECT_EQ(ran.result.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(ran.result.error().message, "sh was not done after 0.3 s");
  ASSERT_FALSE(ran.output.empty());
  EXPECT_TRUE(is_gone(ran.output.substr(0, ran.output.size() - 1)));
}

TEST(RunProcess, WhatACommandLeavesBehindEndsWithIt) {
  const double start = now_s();
  const Ran ran = run_own({.argv = {"sh", "-c", "sleep 600 & echo $!"}, .timeout_s = 60});
  ASSERT_TRUE(ran.result);
  EXPECT_EQ(ran.result->exit_code, 0);
  EXPECT_TRUE(is_gone(ran.output.substr(0, ran.output.size() - 1)));
  EXPECT_LT(now_s() - start, 50);
}

TEST(RunProcess, WaitsForOneThatClosesItsOutput) {
  const Ran ran = run_own({.argv = {"sh", "-c", "exec >&- 2>&-; sleep 0.1; exit 7"}, .timeout_s = 60});
  ASSERT_TRUE(ran.result);
  EXPECT_EQ(ran.result->exit_code, 7);
}

TEST(RunProcess, AStopEndsTheWholeSession) {
  std::string output;
  const auto result = run_process({.argv = {"sh", "-c", "sleep 600 & echo $!; wait"},
                                   .on_output = [&](std::span<const std::byte> bytes) -> Status {
                                     output.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                                     return {};
                                   },
                                   .keep_going = [&] { return output.empty(); },
                                   .own_session = true});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(is_gone(output.substr(0, output.size() - 1)));
}

}  // namespace
}  // namespace quern
