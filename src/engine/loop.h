// Loop: requests under way on a runner. Each step the scheduler picks tokens of many sequences for one forward, and
// every sequence whose tokens are all computed samples its next one.
//
// One thread at a time, but for prepare(), which any thread may call while another steps. Results go to the requests'
// sinks during step(). What a request computed stays in the prefix index for later ones of its tenant.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/grammar_runs.h"
#include "engine/kv_folder.h"
#include "engine/runner.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "engine/service.h"
#include "engine/step_cost.h"
#include "kv/prefix_index.h"
#include "text/tokenizer.h"

namespace quern {

struct LoopOptions {
  size_t n_parallel = 1;
  double max_itl_s = 0;  // see ServiceOptions
  double ageing_s = 10;
  size_t prefix_pages = 0;     // that the prefix index may hold
  KvFolder* folder = nullptr;  // where long prefixes outlive the process; may be null, else outlives the loop
  std::function<void()> wake;  // called on the folder's thread when step() may have more to do
  // Called when requests have ended, before their sinks hear of it: whoever asks next finds their slots free.
  std::function<void()> on_leave = {};
};

// One request on its way.
struct Job {
  RequestId id = 0;
  ServiceRequest request;  // without the prompt, which the sequences hold
  std::shared_ptr<RequestSink> sink;
  std::vector<Sequence> sequences;  // all samples; the first reads the prompt, then the others share its pages
  size_t n_prompt = 0;
  uint32_t tenant = 0;
  bool admitted = false, paused = false, prompt_read = false;
  double submitted = 0, deadline = 0, started = 0, first_token = 0, last_token = 0;  // seconds; 0: not yet
  size_t cached_tokens = 0;
  std::optional<Error> error;
  std::vector<TokenRecord> prompt_logprobs;
  std::vector<double> state_sum;  // of an embedding, in order of position
  // Pages of its prefix that come from the folder, and the table that takes them.
  std::shared_ptr<KvFetch> fetch;
  std::optional<PageTable> restored;
  bool looked_on_disk = false;
  // What list_queued() found, and at which state of the loop.
  struct {
    uint64_t version = 0;
    size_t matched = 0, in_use = 0;
    bool held = false;
  } prefix;

  [[nodiscard]] bool active(size_t i) const { return !sequences[i].done && (i == 0 || prompt_read); }
  [[nodiscard]] bool ended() const;
};

class Loop {
 public:
  Loop(Runner& runner, const Tokenizer& tokenizer, const LoopOptions& options, ServiceObserver* observer = nullptr);

  // Checks a request and builds its samplers: kInvalidArgument, kTooLong with the numbers, kResource.
  Result<std::unique_ptr<Job>> prepare(ServiceRequest request, std::shared_ptr<RequestSink> sink) const;
  void add(std::unique_ptr<Job> job);
  void cancel(RequestId id);
  void pause(RequestId id, bool paused);
  // Ends every request with this error.
  void fail_all(const Error& error);

  // One forward and what follows from it. False when nothing could be computed: no request, or all paused.
  bool step();

  [[nodiscard]] bool empty() const { return jobs_.empty() && leaving_.empty(); }
  // The soonest time at which a request expires, infinity when none does.
  [[nodiscard]] double next_deadline() const;
  [[nodiscard]] ServiceState state() const;  // without the folder's figures
  [[nodiscard]] size_t waiting() const;
  PrefixIndex& prefixes() { return prefixes_; }

 private:
  struct Slot {  // a sequence that runs
    Job* job;
    Sequence* sequence;
  };

  Status check(const ServiceRequest& request) const;
  Result<Sequence> make_sequence(const ServiceRequest& request, unsigned sample) const;
  [[nodiscard]] size_t most_positions(const Job& job) const;

  // Planning, loop_plan.cpp.
  void plan(double now);
  bool carry_out_changes();
  void list_queued();
  void list_running();
  void look_for_prefix(Job& job);
  bool waits_for_prefix(const Job& job, size_t matched) const;
  size_t own_pages(const Job& job, size_t index) const;
  void admit(Job& job);
  void preempt(Job& job);
  uint32_t tenant_of(const std::string& name);

  // Pages of the folder, loop_kept.cpp.
  void look_on_disk(Job& job, size_t matched);
  void restore_pages();
  bool restore_page(Job& job, const KvPageBytes& page);
  void keep_pages(const Job& job, const Sequence& s, size_t from, bool ended);

  // The step itself, loop.cpp.
  Status forward();
  void make_inputs();
  size_t logit_rows_of(const Slot& slot, size_t n_tokens) const;
  Status after_forward(const Slot& slot, std::span<const float> logits);
  Status pick_next(Job& job, Sequence& s, std::span<const float> logits);
  Status pick_under_grammar(Job& job, Sequence& s, std::span<const float> logits);
  Status take_prompt_logprobs(const Slot& slot, size_t first, std::span<const float> logits);
  void take_states(Job& job, const Sequence& s, std::span<const float> states);
  void accept(Job& job, Sequence& s, const SampledToken& token);
  void accept_all(Job& job, Sequence& s, std::span<const int32_t> ids);
  [[nodiscard]] size_t n_ctx_of(const Job& job) const;
  void end_jobs();
  void end(Job& job);

  Runner& runner_;
  const Tokenizer& tokenizer_;
  LoopOptions options_;
  ServiceObserver* observer_;
  PrefixIndex prefixes_;
  StepCost cost_;
  std::unique_ptr<GrammarRuns> grammars_;
  std::vector<std::unique_ptr<Job>> jobs_;     // in order of arrival
  std::vector<std::unique_ptr<Job>> leaving_;  // ended, their sinks have not heard of it
  std::map<std::string, uint32_t> tenants_;
  std::vector<double> work_;  // of each tenant, see scheduler.h
  double last_active_work_ = 0;
  uint64_t preemptions_ = 0;
  uint64_t version_ = 1;  // changes with the requests and with what the prefix index holds
  // Of the step at hand; reused.
  std::vector<Slot> slots_;
  std::vector<QueuedRequest> queued_;
  std::vector<RunningSequence> running_;
  std::vector<Scheduled> chunks_;  // as they go into the forward
  std::vector<RunnerInput> inputs_;
  Plan plan_;
};

}  // namespace quern
