// Service: many callers at once, on the null backend, whose text tells which tokens its pages held; and on a tiny model
// where the bits matter. Each test ends with the pages counted.
#include "engine/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <latch>
#include <mutex>
#include <thread>

#include "backend/null/null_backend.h"
#include "base/rng.h"
#include "engine/service_internals.h"
#include "tests/engine/engine_fixture.h"

namespace quern {
namespace {

using testing::HasSubstr;

class Waiter final : public RequestSink {
 public:
  Waiter() = default;
  // Pauses its request at the first token, before another step.
  explicit Waiter(Service* pauses) : pauses_(pauses) {}

  void on_accepted(RequestId id) override { id_ = id; }
  bool on_token(const TokenEvent& event) override {
    if (Service* service = std::exchange(pauses_, nullptr)) service->pause(id_, true);
    const std::lock_guard lock(mutex_);
    ids_.push_back(event.id);
    changed_.notify_all();
    return true;
  }
  void on_end(Result<Generation> result) override {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(result_.has_value()) << "a second end";
    result_ = std::move(result);
    changed_.notify_all();
  }

  Result<Generation> wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [this] { return result_.has_value(); }));
    return result_ ? *result_ : fail(ErrorCode::kTimeout, "the test waited too long");
  }
  void wait_for_tokens(size_t n) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return ids_.size() >= n || result_; }));
  }
  size_t tokens() {
    const std::lock_guard lock(mutex_);
    return ids_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int32_t> ids_;
  std::optional<Result<Generation>> result_;
  Service* pauses_ = nullptr;
  RequestId id_ = 0;
};

class Counter final : public ServiceObserver {
 public:
  void on_step(const Step& s) override {
    prompt_tokens += s.prompt_tokens;
    largest_mixed = std::max(largest_mixed.load(), s.decode_tokens > 0 ? s.prompt_tokens : 0);
  }
  void on_preempted() override { ++preemptions; }
  std::atomic<size_t> prompt_tokens{0}, largest_mixed{0}, preemptions{0};
};

class ServiceTest : public testing::Test {
 protected:
  // A null backend with this much KV cache; `fresh` makes a new service over the same files.
  void start(ServiceOptions options = {}, bool null_backend = true) {
    service_.reset();
    if (path_.empty()) {
      // Made for more than the tiny model is: the null backend does not mind.
      const Patch longer{.drop = {"llama.context_length"},
                         .add = [](GgufWriter& w) { w.add("llama.context_length", uint32_t{8192}); }};
      path_ = folder_.write("model.gguf", patched(model_bytes("llama"), longer));
    }
    options.engine.model_path = path_;
    options.engine.n_threads = 1;
    BackendFactory factory;
    if (null_backend) factory = [](unsigned) { return make_null_backend(); };
    counter_ = std::make_shared<Counter>();
    auto service = ServiceInternals::create(options, factory, counter_);
    ASSERT_TRUE(service.has_value()) << service.error().message;
    service_ = std::move(*service);
  }

  std::shared_ptr<Waiter> submit(std::vector<int32_t> prompt, size_t max_tokens, ServiceRequest more = {},
                                 std::shared_ptr<Waiter> waiter = std::make_shared<Waiter>()) {
    more.prompt = std::move(prompt);
    more.options.max_tokens = max_tokens;
    more.options.ignore_eos = true;
    more.options.sampling.temperature = 0;
    const auto id = service_->submit(std::move(more), waiter);
    EXPECT_TRUE(id.has_value()) << (id ? "" : id.error().message);
    last_id_ = id ? *id : 0;
    return waiter;
  }

  // One that is paused since its first token: on the null backend others end before a test can do it.
  std::shared_ptr<Waiter> submit_held(std::vector<int32_t> prompt, size_t max_tokens) {
    auto waiter = submit(std::move(prompt), max_tokens, {}, std::make_shared<Waiter>(service_.get()));
    waiter->wait_for_tokens(1);
    return waiter;
  }

  // What the null backend continues `prompt` with.
  std::vector<int32_t> predicted(std::vector<int32_t> ids, size_t n) {
    std::vector<int32_t> out;
    for (size_t i = 0; i < n; ++i) {
      out.push_back(null_next_token(ids, service_->engine().info().n_vocab));
      ids.push_back(out.back());
    }
    return out;
  }

  void expect_text(const std::vector<int32_t>& prompt, const std::shared_ptr<Waiter>& waiter, size_t n) {
    const auto result = waiter->wait();
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_EQ(result->completions[0].ids, predicted(prompt, n));
  }

  void wait_idle() {
    for (int i = 0; i < 6000 && !service_->idle(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(service_->idle());
  }

  void TearDown() override {
    if (!service_) return;
    wait_idle();
    EXPECT_EQ(service_->state().pages_used, 0u) << "a page leaked";
    EXPECT_EQ(service_->state().running, 0u);
  }

  const TempFolder folder_;
  std::string path_;
  std::shared_ptr<Counter> counter_;
  std::unique_ptr<Service> service_;
  std::atomic<RequestId> last_id_ = 0;  // of any thread
};

std::vector<int32_t> ids_of(size_t n, uint64_t seed) {
  return random_ids(n, 256, seed);
}

TEST_F(ServiceTest, ThreadsSubmitAndEachGetsItsOwnText) {
  start({.engine = {.n_ctx = 512, .n_batch = 64, .n_parallel = 4}});
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (uint64_t i = 0; i < 12; ++i) {
        const auto prompt = ids_of(1 + (t * 37 + i * 23) % 200, 100 * t + i);
        expect_text(prompt, submit(prompt, 1 + i * 3), 1 + i * 3);
      }
    });
  }
  for (auto& t : threads) t.join();
}

TEST_F(ServiceTest, PreemptedRequestsEndWithTheSameText) {
  // 12 pages of 64: four requests of up to 6 pages cannot all stay.
  start({.engine = {.n_ctx = 512, .n_batch = 64, .n_parallel = 4, .kv_bytes = 0}});
  const uint64_t page = service_->state().page_bytes;
  start({.engine = {.n_ctx = 512, .n_batch = 64, .n_parallel = 4, .kv_bytes = 12 * page}});
  ASSERT_EQ(service_->state().pages, 12u);
  std::vector<std::vector<int32_t>> prompts;
  std::vector<std::shared_ptr<Waiter>> waiters;
  for (uint64_t i = 0; i < 8; ++i) {
    prompts.push_back(ids_of(90 + 13 * i, i));
    waiters.push_back(submit(prompts.back(), 200, {.priority = static_cast<int>(i % 3)}));
  }
  for (size_t i = 0; i < prompts.size(); ++i) expect_text(prompts[i], waiters[i], 200);
  EXPECT_GT(counter_->preemptions, 0u) << "the test is too easy";
}

TEST_F(ServiceTest, RandomLoadEndsAndLeaksNothing) {
  start({.engine = {.n_ctx = 256, .n_batch = 48, .n_parallel = 5}});
  const uint64_t page = service_->state().page_bytes;
  start({.engine = {.n_ctx = 256, .n_batch = 48, .n_parallel = 5, .kv_bytes = 9 * page}, .max_waiting = 1000});
  SplitMix64 rng(77);
  std::vector<std::shared_ptr<Waiter>> waiters;
  for (int i = 0; i < 300; ++i) {
    ServiceRequest r;
    r.options.n = 1 + static_cast<unsigned>(rng.next() % 3);
    r.priority = static_cast<int>(rng.next() % 10);
    r.tenant = rng.next() % 2 == 0 ? "a" : "b";
    r.embed = rng.next() % 8 == 0;
    waiters.push_back(submit(ids_of(1 + rng.next() % 120, rng.next() % 9), 1 + rng.next() % 30, std::move(r)));
    if (rng.next() % 4 == 0) service_->cancel(last_id_ - rng.next() % std::min<uint64_t>(last_id_, 20));
    if (rng.next() % 6 == 0) {
      service_->pause(last_id_, true);
      service_->pause(last_id_, false);
    }
  }
  size_t ended = 0;
  for (const auto& w : waiters) ended += w->wait().has_value();
  EXPECT_GT(ended, 290u);
}

TEST_F(ServiceTest, CancelFreesTheSlot) {
  start({.engine = {.n_ctx = 2048, .n_batch = 64, .n_parallel = 1}});
  const auto first = submit_held(ids_of(10, 1), 2000);
  const RequestId id = last_id_;
  const auto prompt = ids_of(10, 2);
  const auto second = submit(prompt, 5);
  service_->cancel(id);
  const auto result = first->wait();
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->completions[0].reason, StopReason::kCancelled);
  EXPECT_EQ(result->completions[0].ids.size(), first->tokens());
  expect_text(prompt, second, 5);
  service_->cancel(id);  // again, and of one that never was
  service_->cancel(12345);
}

TEST_F(ServiceTest, PausedRequestsWaitAndGoOn) {
  start({.engine = {.n_ctx = 2048, .n_batch = 64, .n_parallel = 2}});
  const auto prompt = ids_of(20, 3);
  const auto slow = submit_held(prompt, 1500);
  const RequestId id = last_id_;
  const auto other = ids_of(20, 4);
  expect_text(other, submit(other, 50), 50);  // at least 50 steps later
  EXPECT_EQ(slow->tokens(), 1u);
  service_->pause(id, false);
  expect_text(prompt, slow, 1500);
}

TEST_F(ServiceTest, RefusesAtOnceWhatCannotBe) {
  start({.engine = {.n_ctx = 256, .n_batch = 64, .n_parallel = 1}, .max_waiting = 2});
  const auto code = [this](ServiceRequest r) {
    const auto id = service_->submit(std::move(r), std::make_shared<Waiter>());
    return id ? "" : id.error().message;
  };
  EXPECT_THAT(code({.prompt = {}}), HasSubstr("no tokens"));
  EXPECT_THAT(code({.prompt = ids_of(257, 1)}), HasSubstr("needs 257 tokens, the context holds 256"));
  EXPECT_THAT(code({.prompt = {99999}}), HasSubstr("vocabulary"));
  EXPECT_THAT(code({.prompt = {1}, .options = {.n = 2}}), HasSubstr("expected 1 to 1"));
  EXPECT_THAT(code({.prompt = {1}, .priority = 10}), HasSubstr("expected 0 to 9"));
  EXPECT_THAT(code({.prompt = ids_of(100, 1), .options = {.n_ctx = 64}}), HasSubstr("the context holds 64"));
  const auto running = submit_held(ids_of(10, 1), 240);  // it holds the only slot
  const RequestId id = last_id_;
  while (service_->state().running == 0) std::this_thread::yield();  // told after the step
  const auto a = submit(ids_of(5, 2), 2), b = submit(ids_of(5, 3), 2);
  const auto full = service_->submit({.prompt = {1}}, std::make_shared<Waiter>());
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, ErrorCode::kBusy);
  service_->pause(id, false);
  EXPECT_TRUE(running->wait().has_value() && a->wait().has_value() && b->wait().has_value());
}

// Whoever asks again as soon as an answer ends finds the slot free.
TEST_F(ServiceTest, ASlotIsFreeBeforeItsEndIsTold) {
  struct Again final : RequestSink {
    bool on_token(const TokenEvent&) override { return true; }
    void on_end(Result<Generation> result) override {
      failed = !result || service->state().running != 0;
      if (!failed && --left > 0) failed = !service->submit({{1, 2, 3}, {.max_tokens = 2}}, next.lock());
      if (failed || left == 0) done.count_down();
    }
    Service* service = nullptr;
    std::weak_ptr<Again> next;
    size_t left = 20;
    bool failed = false;
    std::latch done{1};
  };
  start({.engine = {.n_ctx = 256, .n_batch = 64, .n_parallel = 1}, .max_waiting = 0});
  const auto sink = std::make_shared<Again>();
  sink->service = service_.get();
  sink->next = sink;
  ASSERT_TRUE(service_->submit({{1, 2, 3}, {.max_tokens = 2}}, sink).has_value());
  sink->done.wait();
  EXPECT_FALSE(sink->failed);
}

TEST_F(ServiceTest, DeadlinesEndRequestsThatRunOrWait) {
  start({.engine = {.n_ctx = 2048, .n_batch = 64, .n_parallel = 1}});
  const auto held = submit_held(ids_of(10, 1), 1000);
  const RequestId id = last_id_;
  const auto late = submit(ids_of(10, 2), 10, {.deadline_s = 0.05});
  const auto result = late->wait();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kTimeout);
  service_->pause(id, false);
  EXPECT_TRUE(held->wait().has_value());
}

TEST_F(ServiceTest, ATenantNeverMeetsAnothersPages) {
  start({.engine = {.n_ctx = 1024, .n_batch = 64, .n_parallel = 2}});
  const auto canary = ids_of(300, 5);
  ASSERT_TRUE(submit(canary, 4, {.tenant = "alice"})->wait().has_value());
  const auto again = submit(canary, 4, {.tenant = "alice"})->wait();
  EXPECT_EQ(again->stats.cached_tokens, 299u);
  for (const char* other : {"bob", "", "alic", "alice "}) {
    const size_t before = counter_->prompt_tokens;
    const auto result = submit(canary, 4, {.tenant = other})->wait();
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->stats.cached_tokens, 0u) << other;
    wait_idle();
    EXPECT_GE(counter_->prompt_tokens - before, 300u) << other << " was faster than somebody new";
  }
}

TEST_F(ServiceTest, RequestsThatComeTogetherReadTheirPrefixOnce) {
  start({.engine = {.n_ctx = 2048, .n_batch = 64, .n_parallel = 8}});
  const auto system = ids_of(1000, 6);
  std::vector<std::shared_ptr<Waiter>> waiters;
  std::vector<std::vector<int32_t>> prompts;
  for (uint64_t i = 0; i < 16; ++i) {
    prompts.push_back(system);
    const auto own = ids_of(20, 50 + i);
    prompts.back().insert(prompts.back().end(), own.begin(), own.end());
    waiters.push_back(submit(prompts.back(), 8));
  }
  for (size_t i = 0; i < prompts.size(); ++i) expect_text(prompts[i], waiters[i], 8);
  wait_idle();
  // The prefix once, then for each request its own 20 tokens and what its last shared page does not hold whole.
  EXPECT_LT(counter_->prompt_tokens, 1000 + 16 * (20 + kKvPageTokens));
}

TEST_F(ServiceTest, ATurnComputesItsNewTokensAlone) {
  start({.engine = {.n_ctx = 4096, .n_batch = 128, .n_parallel = 2}});
  std::vector<int32_t> talk;
  for (uint64_t turn = 0; turn < 20; ++turn) {
    const auto said = ids_of(150, 200 + turn);
    talk.insert(talk.end(), said.begin(), said.end());
    const auto result = submit(talk, 40)->wait();
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->completions[0].ids, predicted(talk, 40)) << turn;
    const size_t fresh = talk.size() - result->stats.cached_tokens;
    EXPECT_LE(fresh, said.size() + 1) << turn;
    const auto& answer = result->completions[0].ids;
    talk.insert(talk.end(), answer.begin(), answer.end());
  }
  EXPECT_GT(talk.size(), 3700u);
}

TEST_F(ServiceTest, LongPrefixesOutliveTheProcess) {
  const std::string kept = folder_.path("kept");
  const ServiceOptions options{.engine = {.n_ctx = 2048, .n_batch = 256, .n_parallel = 2}, .kv_dir = kept};
  start(options);
  const auto prompt = ids_of(1200, 7), brief = ids_of(300, 8);
  expect_text(prompt, submit(prompt, 4, {.tenant = "alice"}), 4);
  expect_text(brief, submit(brief, 4, {.tenant = "alice"}), 4);
  start(options);  // ends the first one, which writes
  const auto back = submit(prompt, 4, {.tenant = "alice"});
  expect_text(prompt, back, 4);
  EXPECT_EQ(back->wait()->stats.cached_tokens, 1152u);
  EXPECT_EQ(submit(prompt, 4, {.tenant = "bob"})->wait()->stats.cached_tokens, 0u);
  EXPECT_EQ(submit(brief, 4, {.tenant = "alice"})->wait()->stats.cached_tokens, 0u) << "too short to be kept";
  wait_idle();
  EXPECT_EQ(service_->state().disk_hits, 18u);
}

TEST_F(ServiceTest, DamagedPagesAreComputedAgain) {
  const std::string kept = folder_.path("kept");
  const ServiceOptions options{.engine = {.n_ctx = 2048, .n_batch = 256, .n_parallel = 2}, .kv_dir = kept};
  start(options);
  const auto prompt = ids_of(1200, 9);
  expect_text(prompt, submit(prompt, 4), 4);
  service_.reset();
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kept)) {
    if (!entry.is_regular_file()) continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(entry.file_size() - 1 - files % 100));
    file.put('\x5a');
    ++files;
  }
  ASSERT_GE(files, 18u);
  start(options);
  expect_text(prompt, submit(prompt, 4), 4);
  wait_idle();
  EXPECT_GT(service_->state().disk_errors, 0u);
  EXPECT_THAT(service_->state().disk_notice, HasSubstr("kept"));
}

TEST_F(ServiceTest, StoppingEndsEverything) {
  start({.engine = {.n_ctx = 2048, .n_batch = 64, .n_parallel = 1}});
  const auto running = submit_held(ids_of(10, 1), 2000), waiting = submit(ids_of(10, 2), 2000);
  service_->stop();
  EXPECT_EQ(running->wait().error().code, ErrorCode::kCancelled);
  EXPECT_EQ(waiting->wait().error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(service_->submit({.prompt = {1}}, std::make_shared<Waiter>()).has_value());
  service_.reset();
}

// The mean of the final states does not depend on the chunks in which they were computed or on what ran beside.
TEST_F(ServiceTest, EmbeddingsAreTheSameBesideOthers) {
  start({.engine = {.n_ctx = 512, .n_batch = 512, .n_parallel = 4}}, /*null_backend=*/false);
  const auto text = random_ids(130, 256, 10);
  const auto alone = submit(text, 1, {.embed = true})->wait();
  ASSERT_TRUE(alone.has_value()) << alone.error().message;
  ASSERT_FALSE(alone->embedding.empty());
  double norm = 0;
  for (const float x : alone->embedding) norm += static_cast<double>(x) * x;
  EXPECT_GT(norm, 0);
  start({.engine = {.n_ctx = 512, .n_batch = 17, .n_parallel = 4}}, /*null_backend=*/false);
  std::vector<std::shared_ptr<Waiter>> others;
  for (uint64_t i = 0; i < 3; ++i) others.push_back(submit(random_ids(40, 256, i), 30));
  others.push_back(submit(random_ids(90, 256, 11), 1, {.embed = true}));
  const auto beside = submit(text, 1, {.embed = true})->wait();
  ASSERT_TRUE(beside.has_value());
  EXPECT_EQ(beside->embedding, alone->embedding);
  EXPECT_EQ(beside->stats.prompt_tokens, 130u);
  for (const auto& w : others) EXPECT_TRUE(w->wait().has_value());
  EXPECT_NE(others.back()->wait()->embedding, alone->embedding);
}

TEST_F(ServiceTest, PromptLogprobsEqualThoseOfEvaluate) {
  start({.engine = {.n_ctx = 512, .n_batch = 50, .n_parallel = 3}}, /*null_backend=*/false);
  const auto text = random_ids(150, 256, 12);
  ServiceRequest r;
  r.options.prompt_logprobs = true;
  r.options.sampling.logprobs = 2;
  const auto busy = submit(random_ids(60, 256, 13), 40);
  const auto result = submit(text, 3, std::move(r))->wait();
  ASSERT_TRUE(result.has_value()) << result.error().message;
  ASSERT_EQ(result->prompt_logprobs.size(), text.size() - 1);
  const auto engine = tiny_engine("llama", TensorType::kF32, {.n_ctx = 512});
  const std::vector<float> rows = all_logits(*engine, text);
  const size_t n_vocab = engine->info().n_vocab;
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    const auto want = log_probs(std::span(rows).subspan(i * n_vocab, n_vocab), 2, text[i + 1]);
    ASSERT_TRUE(want.has_value());
    EXPECT_EQ(result->prompt_logprobs[i].id, text[i + 1]);
    EXPECT_EQ(result->prompt_logprobs[i].logprob, want->chosen) << i;
    EXPECT_EQ(result->prompt_logprobs[i].top.size(), 2u);
  }
  EXPECT_TRUE(busy->wait().has_value());
}

}  // namespace
}  // namespace quern
