// Generation for one caller: its requests go through the loop, on its own thread, until all have ended.
#include <algorithm>

#include "engine/engine_impl.h"
#include "engine/loop.h"

namespace quern {

namespace {

class CallerSink final : public RequestSink {
 public:
  CallerSink(const TokenCallback& callback, Result<Generation>& result) : callback_(callback), result_(result) {}
  bool on_token(const TokenEvent& event) override { return !callback_ || callback_(event); }
  void on_end(Result<Generation> result) override {
    result_ = std::move(result);
    ended_ = true;
  }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  const TokenCallback& callback_;
  Result<Generation>& result_;
  bool ended_ = false;
};

}  // namespace

std::vector<Result<Generation>> Engine::generate_all(std::vector<Request> requests) {
  Impl& impl = *impl_;
  impl.bench_tables.clear();
  std::vector<Result<Generation>> results(requests.size());
  std::vector<std::shared_ptr<CallerSink>> sinks;
  for (size_t i = 0; i < requests.size(); ++i) {
    sinks.push_back(std::make_shared<CallerSink>(requests[i].on_token, results[i]));
    ServiceRequest request{.prompt = std::move(requests[i].prompt), .options = requests[i].options};
    auto job = impl.loop->prepare(std::move(request), sinks[i]);
    if (!job) {
      sinks[i]->on_end(tl::unexpected<Error>(job.error()));
      continue;
    }
    (*job)->id = i;
    impl.loop->add(std::move(*job));
  }
  while (!impl.loop->empty()) {
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto& cancelled = requests[i].options.cancelled;
      if (!sinks[i]->ended() && cancelled && cancelled()) impl.loop->cancel(i);
    }
    impl.loop->step();
  }
  return results;
}

Result<Generation> Engine::generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                                    const TokenCallback& on_token) {
  std::vector<Request> requests;
  requests.push_back({.prompt = {prompt.begin(), prompt.end()}, .options = options, .on_token = on_token});
  return std::move(generate_all(std::move(requests)).front());
}

}  // namespace quern
