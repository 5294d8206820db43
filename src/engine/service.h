// Service: an engine that many callers use at once. Requests of any thread join one ragged batch as they come.
//
// One thread of its own runs the steps; all members may be called from any thread. A request's sink is called on the
// service's thread, in order, and ends with exactly one on_end; it must not block, and may call the service's members.
// Tokens and bits of a request do not depend on what else runs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "quern/quern.h"

namespace quern {

inline constexpr int kDefaultPriority = 5, kHighestPriority = 9;

struct ServiceOptions {
  EngineOptions engine;  // n_parallel: most sequences that have a slot
  // Most that a step may take while others stream; 0: twice a step without prompts, more for short ones (StepCost).
  double max_itl_ms = 0;
  double ageing_s = 10;             // a request that waited so long counts as one priority higher
  size_t max_waiting = 256;         // requests without a slot; more are refused with kBusy
  uint64_t prefix_cache_bytes = 0;  // keys and values kept for later prompts; 0: half of the KV cache
  std::string kv_dir;               // where long prefixes are kept over restarts; empty: nowhere
  uint64_t kv_dir_bytes = uint64_t{8} << 30;
};

struct ServiceRequest {
  std::vector<int32_t> prompt;
  GenerateOptions options;          // `cancelled` must be empty: cancel() does that
  std::string tenant;               // whose prefixes it may reuse and leaves behind
  int priority = kDefaultPriority;  // 0 to 9, higher first
  double deadline_s = 0;            // from now; a request that has not ended by then ends with kTimeout; 0: none
  // Mean of the final states instead of text: no sampling, `options` is ignored, Generation::embedding is filled.
  bool embed = false;
};

using RequestId = uint64_t;

class RequestSink {
 public:
  virtual ~RequestSink() = default;
  // First of all, with the id that submit() returns, perhaps before it has: what tokens call for needs it. Not where
  // the service stops before it looks at the request.
  virtual void on_accepted(RequestId /*id*/) {}
  // False ends that sample (kCancelled).
  virtual bool on_token(const TokenEvent& event) = 0;
  // A cancelled request ends with its completions so far and StopReason::kCancelled.
  virtual void on_end(Result<Generation> result) = 0;
};

// What a service tells its watcher, on the service's thread. For metrics.
class ServiceObserver {
 public:
  virtual ~ServiceObserver() = default;
  struct Step {
    size_t prompt_tokens = 0, decode_tokens = 0;
    double seconds = 0;
  };
  virtual void on_step(const Step&) {}
  virtual void on_queued(double /*seconds*/) {}       // a request left the queue
  virtual void on_first_token(double /*seconds*/) {}  // since it was submitted
  virtual void on_gap(double /*seconds*/) {}          // between two tokens of a sequence
  virtual void on_end(const GenerateStats&, StopReason) {}
  virtual void on_preempted() {}
};

// A moment's figures.
struct ServiceState {
  size_t waiting = 0;                // requests without a slot
  size_t running = 0;                // sequences that have one
  size_t slots = 0;                  // most that may
  size_t pages = 0, page_bytes = 0;  // of the KV cache
  size_t pages_used = 0;             // by sequences, prefixes that they share with the cache included
  size_t pages_cached = 0;           // by kept prefixes alone
  uint64_t preemptions = 0;
  uint64_t disk_hits = 0, disk_writes = 0, disk_errors = 0;  // pages of kv_dir
  std::string disk_notice;                                   // the last of those errors, in words
};

class Service {
 public:
  static Result<std::unique_ptr<Service>> create(const ServiceOptions& options,
                                                 std::shared_ptr<ServiceObserver> observer = {});
  ~Service();  // stop()
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Only the members of Engine that are const may be called on it: information, tokenizer, template.
  [[nodiscard]] const Engine& engine() const;

  // Errors that can be told at once (kTooLong, kInvalidArgument, kBusy) are returned and the sink is not called.
  Result<RequestId> submit(ServiceRequest request, std::shared_ptr<RequestSink> sink);
  // The request ends before the next step. Unknown and ended ids are ignored.
  void cancel(RequestId id);
  // A paused request keeps its place and is not computed: its reader is slow.
  void pause(RequestId id, bool paused);

  // Ends what runs and waits with kCancelled, and takes nothing more. Not from a sink.
  void stop();

  [[nodiscard]] ServiceState state() const;
  // No request is waiting or running.
  [[nodiscard]] bool idle() const;

 private:
  friend struct ServiceInternals;
  class Impl;
  explicit Service(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern
