#include "server/openai/prompt_group.h"

#include <atomic>
#include <mutex>
#include <utility>

namespace quern::server {

namespace {

class Group {
 public:
  Group(size_t n, PromptEvents events) : results_(n), left_(n), events_(std::move(events)) {}

  [[nodiscard]] std::shared_ptr<const std::atomic<bool>> stop() const { return stop_; }
  [[nodiscard]] bool over() const { return stop_->load(); }
  [[nodiscard]] bool wants_tokens() const { return static_cast<bool>(events_.on_token); }

  void token(size_t prompt, const TokenEvent& event) {
    const std::lock_guard lock(mutex_);
    if (!over()) events_.on_token(prompt, event);
  }

  void end(size_t prompt, Result<Generation> result) {
    const std::lock_guard lock(mutex_);
    if (over()) return;
    if (!result) return finish(tl::unexpected<Error>(std::move(result).error()));
    results_[prompt] = std::move(*result);
    if (--left_ == 0) finish(std::move(results_));
  }

 private:
  void finish(Result<std::vector<Generation>> result) {
    stop_->store(true);
    const PromptEvents events = std::exchange(events_, {});  // what they hold goes with the end
    events.on_end(std::move(result));
  }

  std::mutex mutex_;
  std::vector<Generation> results_;
  size_t left_;
  PromptEvents events_;
  const std::shared_ptr<std::atomic<bool>> stop_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace

void start_prompts(const std::shared_ptr<Call>& call, const std::shared_ptr<Model>& model,
                   std::vector<ServiceRequest> requests, PromptEvents events) {
  const auto group = std::make_shared<Group>(requests.size(), std::move(events));
  const bool tokens = group->wants_tokens();
  for (size_t i = 0; i < requests.size() && !group->over(); ++i) {
    GenerationEvents each{.on_token = {},
                          .on_end = [group, i](Result<Generation> result) { group->end(i, std::move(result)); },
                          .stop = group->stop()};
    if (tokens) each.on_token = [group, i](const TokenEvent& event) { group->token(i, event); };
    if (auto ok = start_generation(call, model, std::move(requests[i]), std::move(each)); !ok) {
      group->end(i, tl::unexpected<Error>(ok.error()));
    }
  }
}

}  // namespace quern::server
