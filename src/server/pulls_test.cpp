#include "server/pulls.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>

namespace quern::server {
namespace {

// A fetch that goes on as far as the test lets it.
class Fetcher {
 public:
  Pulls::Fetch function() {
    return [this](const std::string& source, const hub::PullMonitor& monitor) { return fetch(source, monitor); };
  }
  void finish() {
    const std::lock_guard lock(mutex_);
    finish_ = true;
    wake_.notify_all();
  }
  std::atomic<int> begun{0};

 private:
  Result<hub::Pulled> fetch(const std::string& source, const hub::PullMonitor& monitor) {
    ++begun;
    monitor.say("a licence");
    monitor.expect("file", "abc");
    monitor.report("file", 1, 2);
    std::unique_lock lock(mutex_);
    while (!finish_) {
      wake_.wait_for(lock, std::chrono::milliseconds(1));
      if (monitor.stop()) return fail(ErrorCode::kCancelled, "stopped on request");
    }
    monitor.report("file", 2, 2);
    return hub::Pulled{.name = source};
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  bool finish_ = false;
};

struct Watching {
  std::vector<PullStep> steps;
  std::promise<void> first_step;
  std::promise<Result<hub::Pulled>> end;

  PullWatcher watcher() {
    return {.on_step =
                [this](const PullStep& step) {
                  steps.push_back(step);
                  if (steps.size() == 1) first_step.set_value();
                },
            .on_end = [this](const Result<hub::Pulled>& result) { end.set_value(result); }};
  }
};

TEST(Pulls, TellTheirSteps) {
  Fetcher fetcher;
  Watching one;
  Pulls pulls(fetcher.function());
  ASSERT_TRUE(pulls.watch("model", one.watcher()).has_value());
  fetcher.finish();
  const auto end = one.end.get_future().get();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->name, "model");
  ASSERT_EQ(one.steps.size(), 3u);
  EXPECT_EQ(one.steps[0].note, "a licence");
  EXPECT_EQ(one.steps[2].sha256, "abc");
  EXPECT_EQ(one.steps[2].done, 2u);
}

TEST(Pulls, OfOneSourceAreOne) {
  Fetcher fetcher;
  Watching one, two;
  Pulls pulls(fetcher.function());
  ASSERT_TRUE(pulls.watch("model", one.watcher()).has_value());
  ASSERT_TRUE(pulls.watch("model", two.watcher()).has_value());
  fetcher.finish();
  EXPECT_TRUE(one.end.get_future().get().has_value());
  EXPECT_TRUE(two.end.get_future().get().has_value());
  EXPECT_EQ(fetcher.begun, 1);
}

TEST(Pulls, StopWithTheirLastWatcher) {
  Fetcher fetcher;
  Watching one, two, three;
  Pulls pulls(fetcher.function());
  const auto first = pulls.watch("model", one.watcher());
  const auto second = pulls.watch("model", two.watcher());
  one.first_step.get_future().wait();
  pulls.leave(*first);
  pulls.leave(*second);
  // Whoever comes now joins the fetch that is ending, or begins another: it gets the model either way.
  ASSERT_TRUE(pulls.watch("model", three.watcher()).has_value());
  fetcher.finish();
  EXPECT_TRUE(three.end.get_future().get().has_value());
  EXPECT_FALSE(one.end.get_future().wait_for(std::chrono::seconds(0)) == std::future_status::ready);
}

TEST(Pulls, AreLimitedInNumber) {
  Fetcher fetcher;
  std::list<Watching> all;
  Pulls pulls(fetcher.function());
  Error refused;
  for (int i = 0; i < 20; ++i) {
    const auto id = pulls.watch(fmt::format("model {}", i), all.emplace_back().watcher());
    if (!id) refused = id.error();
    if (!id) break;
  }
  EXPECT_EQ(refused.code, ErrorCode::kBusy);
  EXPECT_LT(all.size(), 20u);
  all.pop_back();
  fetcher.finish();
  for (Watching& w : all) EXPECT_TRUE(w.end.get_future().get().has_value());
}

TEST(Pulls, EndWhenTheyAreStopped) {
  Fetcher fetcher;
  Watching one, late;
  Pulls pulls(fetcher.function());
  ASSERT_TRUE(pulls.watch("model", one.watcher()).has_value());
  pulls.stop();
  EXPECT_EQ(one.end.get_future().get().error().code, ErrorCode::kCancelled);
  EXPECT_EQ(pulls.watch("model", late.watcher()).error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace quern::server
