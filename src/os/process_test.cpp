#include "os/process.h"

#include <gtest/gtest.h>

#include "base/clock.h"

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

}  // namespace
}  // namespace quern
