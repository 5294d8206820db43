#include "server/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <sstream>
#include <utility>

namespace quern::server {

namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Registry;
using Buckets = Histogram::BucketBoundaries;

// 1, 2 and 5 times each power of ten from 10^first to `last`: (-3, 10) is 0.001, 0.002, 0.005, 0.01 ... 10. Divided
// where the power is negative, so that the labels are the short decimal ones.
Buckets one_two_five(int first, double last) {
  Buckets buckets;
  for (int exponent = first;; ++exponent) {
    const double power = std::pow(10.0, std::abs(exponent));
    for (const double step : {1.0, 2.0, 5.0}) {
      const double bound = exponent < 0 ? step / power : step * power;
      if (bound > last) return buckets;
      buckets.push_back(bound);
    }
  }
}

Buckets powers_of_two(double last) {
  Buckets buckets;
  for (double value = 1; value <= last; value *= 2) buckets.push_back(value);
  return buckets;
}

Family<Counter>& counters(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}
Family<Gauge>& gauges(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}
Family<Histogram>& histograms(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

// The families of all models; each model has its own member of each.
struct ModelFamilies {
  explicit ModelFamilies(Registry& r)
      : first_token(histograms(r, "quern_time_to_first_token_seconds", "From a request's arrival to its first token")),
        gap(histograms(r, "quern_token_gap_seconds", "Between two tokens of a sequence")),
        queue(histograms(r, "quern_queue_seconds", "From a request's arrival until it got a slot")),
        prompt_rate(histograms(r, "quern_prompt_tokens_per_second", "Rate at which a request's prompt was read")),
        decode_rate(histograms(r, "quern_decode_tokens_per_second", "Rate at which a request's output was generated")),
        batch(histograms(r, "quern_batch_tokens", "Tokens in one step, of prompts and of outputs")),
        decoding(histograms(r, "quern_batch_sequences", "Sequences that were given a token in one step")),
        step(histograms(r, "quern_step_seconds", "Time of one step")),
        tokens(counters(r, "quern_tokens_total",
                        "Tokens of ended requests as their usage says; kind cached is a part of kind prompt")),
        computed(counters(r, "quern_computed_tokens_total", "Tokens that went through the model, step by step")),
        finished(counters(r, "quern_finished_requests_total", "Ended requests by what ended them")),
        preemptions(counters(r, "quern_preemptions_total", "Sequences that lost their slot and are computed again")),
        truncations(counters(r, "quern_truncated_prompts_total", "Prompts that were cut to fit, by policy")),
        dropped(counters(r, "quern_truncated_tokens_total", "Tokens that this took away")),
        disk(counters(r, "quern_kv_disk_pages_total", "Pages of kv_dir: restored, written")),
        disk_errors(counters(r, "quern_kv_disk_errors_total", "Reads and writes of kv_dir that failed")),
        loads(counters(r, "quern_model_loads_total", "Times that the model was loaded")),
        load_seconds(gauges(r, "quern_model_load_seconds", "Time that the last load took")),
        is_loaded(gauges(r, "quern_model_loaded", "1 while the model is in memory")),
        pages(gauges(r, "quern_kv_pages", "Pages of the KV cache by state: used, cached, free")),
        cached_bytes(gauges(r, "quern_kv_cached_bytes", "Keys and values kept for later prompts")),
        kv_bytes(gauges(r, "quern_kv_bytes", "Size of the KV cache")),
        slots(gauges(r, "quern_slots", "Most sequences that are computed at a time")),
        slots_used(gauges(r, "quern_slots_used", "Sequences that have a slot")),
        waiting(gauges(r, "quern_waiting_requests", "Requests without a slot")),
        batches(counters(r, "quern_batcher_batches_total", "Batches of embeddings")),
        padding(counters(r, "quern_batcher_padding_avoided_tokens_total",
                         "What batches padded to their longest member would have computed for nothing")),
        batch_size(gauges(r, "quern_batcher_mean_batch_requests", "Mean requests in a batch of embeddings")),
        batch_wait(gauges(r, "quern_batcher_mean_wait_seconds", "Mean time that an embedding waited for others")) {}

  Family<Histogram>&first_token, &gap, &queue, &prompt_rate, &decode_rate, &batch, &decoding, &step;
  Family<Counter>&tokens, &computed, &finished, &preemptions, &truncations, &dropped, &disk, &disk_errors, &loads;
  Family<Gauge>&load_seconds, &is_loaded, &pages, &cached_bytes, &kv_bytes, &slots, &slots_used, &waiting;
  Family<Counter>&batches, &padding;
  Family<Gauge>&batch_size, &batch_wait;
};

constexpr std::array kStopReasons = {StopReason::kEndOfText, StopReason::kStopString, StopReason::kMaxTokens,
                                     StopReason::kContextFull, StopReason::kCancelled};
constexpr std::array<std::string_view, 3> kPolicies = {"truncate-middle", "truncate-head", "other"};

// Makes a counter of a figure that its owner counts, and that begins again with each load.
class Follower {
 public:
  explicit Follower(Counter& counter) : counter_(counter) {}
  void follow(double now) {
    counter_.Increment(now < last_ ? now : now - last_);
    last_ = now;
  }
  void restart() { last_ = 0; }

 private:
  Counter& counter_;
  double last_ = 0;
};

class ModelMember final : public ModelMetrics {
 public:
  ModelMember(ModelFamilies& f, const std::string& name)
      : first_token_(f.first_token.Add({{"model", name}}, one_two_five(-3, 100))),
        gap_(f.gap.Add({{"model", name}}, one_two_five(-3, 5))),
        queue_(f.queue.Add({{"model", name}}, one_two_five(-3, 100))),
        prompt_rate_(f.prompt_rate.Add({{"model", name}}, one_two_five(0, 50000))),
        decode_rate_(f.decode_rate.Add({{"model", name}}, one_two_five(0, 1000))),
        batch_(f.batch.Add({{"model", name}}, powers_of_two(8192))),
        decoding_(f.decoding.Add({{"model", name}}, powers_of_two(256))),
        step_(f.step.Add({{"model", name}}, one_two_five(-3, 10))),
        prompt_tokens_(f.tokens.Add({{"model", name}, {"kind", "prompt"}})),
        cached_tokens_(f.tokens.Add({{"model", name}, {"kind", "cached"}})),
        generated_tokens_(f.tokens.Add({{"model", name}, {"kind", "generated"}})),
        computed_prompt_(f.computed.Add({{"model", name}, {"phase", "prompt"}})),
        computed_decode_(f.computed.Add({{"model", name}, {"phase", "decode"}})),
        preemptions_(f.preemptions.Add({{"model", name}})),
        loads_(f.loads.Add({{"model", name}})),
        load_seconds_(f.load_seconds.Add({{"model", name}})),
        is_loaded_(f.is_loaded.Add({{"model", name}})),
        pages_used_(f.pages.Add({{"model", name}, {"state", "used"}})),
        pages_cached_(f.pages.Add({{"model", name}, {"state", "cached"}})),
        pages_free_(f.pages.Add({{"model", name}, {"state", "free"}})),
        cached_bytes_(f.cached_bytes.Add({{"model", name}})),
        kv_bytes_(f.kv_bytes.Add({{"model", name}})),
        slots_(f.slots.Add({{"model", name}})),
        slots_used_(f.slots_used.Add({{"model", name}})),
        waiting_(f.waiting.Add({{"model", name}})),
        batch_size_(f.batch_size.Add({{"model", name}})),
        batch_wait_(f.batch_wait.Add({{"model", name}})),
        disk_hits_(f.disk.Add({{"model", name}, {"kind", "restored"}})),
        disk_writes_(f.disk.Add({{"model", name}, {"kind", "written"}})),
        disk_errors_(f.disk_errors.Add({{"model", name}})),
        batches_(f.batches.Add({{"model", name}})),
        padding_(f.padding.Add({{"model", name}})) {
    for (size_t i = 0; i < kStopReasons.size(); ++i) {
      finished_[i] = &f.finished.Add({{"model", name}, {"reason", std::string(stop_reason_name(kStopReasons[i]))}});
    }
    for (size_t i = 0; i < kPolicies.size(); ++i) {
      truncations_[i] = &f.truncations.Add({{"model", name}, {"policy", std::string(kPolicies[i])}});
      dropped_[i] = &f.dropped.Add({{"model", name}, {"policy", std::string(kPolicies[i])}});
    }
  }

  void on_step(const Step& step) override {
    const auto prompt = static_cast<double>(step.prompt_tokens), decode = static_cast<double>(step.decode_tokens);
    computed_prompt_.Increment(prompt);
    computed_decode_.Increment(decode);
    batch_.Observe(prompt + decode);
    if (step.decode_tokens > 0) decoding_.Observe(decode);
    step_.Observe(step.seconds);
  }
  void on_queued(double seconds) override { queue_.Observe(seconds); }
  void on_first_token(double seconds) override { first_token_.Observe(seconds); }
  void on_gap(double seconds) override { gap_.Observe(seconds); }
  void on_preempted() override { preemptions_.Increment(); }
  void on_end(const GenerateStats& stats, StopReason reason) override {
    prompt_tokens_.Increment(static_cast<double>(stats.prompt_tokens));
    cached_tokens_.Increment(static_cast<double>(stats.cached_tokens));
    generated_tokens_.Increment(static_cast<double>(stats.generated_tokens));
    if (const double rate = stats.prompt_tps(); rate > 0) prompt_rate_.Observe(rate);
    if (const double rate = stats.generate_tps(); rate > 0) decode_rate_.Observe(rate);
    for (size_t i = 0; i < kStopReasons.size(); ++i) {
      if (kStopReasons[i] == reason) finished_[i]->Increment();
    }
  }

  void set_state(const ServiceState& s) override {
    const auto page = static_cast<double>(s.page_bytes);
    pages_used_.Set(static_cast<double>(s.pages_used));
    pages_cached_.Set(static_cast<double>(s.pages_cached));
    const size_t taken = s.pages_used + s.pages_cached;
    pages_free_.Set(static_cast<double>(s.pages > taken ? s.pages - taken : 0));
    cached_bytes_.Set(static_cast<double>(s.pages_cached) * page);
    kv_bytes_.Set(static_cast<double>(s.pages) * page);
    slots_.Set(static_cast<double>(s.slots));
    slots_used_.Set(static_cast<double>(s.running));
    waiting_.Set(static_cast<double>(s.waiting));
    const std::lock_guard lock(mutex_);
    disk_hits_.follow(static_cast<double>(s.disk_hits));
    disk_writes_.follow(static_cast<double>(s.disk_writes));
    disk_errors_.follow(static_cast<double>(s.disk_errors));
  }
  void set_batcher(const BatcherFigures& f) override {
    batch_size_.Set(f.mean_batch_size);
    batch_wait_.Set(f.mean_wait_seconds);
    const std::lock_guard lock(mutex_);
    batches_.follow(f.batches);
    padding_.follow(f.padding_avoided_tokens);
  }
  void loaded(double seconds) override {
    loads_.Increment();
    load_seconds_.Set(seconds);
    is_loaded_.Set(1);
  }
  void unloaded() override {
    is_loaded_.Set(0);
    for (Gauge* gauge : {&pages_used_, &pages_cached_, &pages_free_, &cached_bytes_, &kv_bytes_, &slots_, &slots_used_,
                         &waiting_, &batch_size_, &batch_wait_}) {
      gauge->Set(0);
    }
    const std::lock_guard lock(mutex_);
    for (Follower* follower : {&disk_hits_, &disk_writes_, &disk_errors_, &batches_, &padding_}) follower->restart();
  }
  void truncated(std::string_view policy, uint64_t tokens_dropped) override {
    size_t i = 0;
    while (i + 1 < kPolicies.size() && kPolicies[i] != policy) ++i;
    truncations_[i]->Increment();
    dropped_[i]->Increment(static_cast<double>(tokens_dropped));
  }

 private:
  Histogram &first_token_, &gap_, &queue_, &prompt_rate_, &decode_rate_, &batch_, &decoding_, &step_;
  Counter &prompt_tokens_, &cached_tokens_, &generated_tokens_, &computed_prompt_, &computed_decode_, &preemptions_,
      &loads_;
  Gauge &load_seconds_, &is_loaded_, &pages_used_, &pages_cached_, &pages_free_, &cached_bytes_, &kv_bytes_, &slots_,
      &slots_used_, &waiting_, &batch_size_, &batch_wait_;
  std::mutex mutex_;  // over the followers
  Follower disk_hits_, disk_writes_, disk_errors_, batches_, padding_;
  std::array<Counter*, kStopReasons.size()> finished_{};
  std::array<Counter*, kPolicies.size()> truncations_{}, dropped_{};
};

constexpr std::array<const char*, 4> kCauses = {"client_gone", "request", "deadline", "drain"};
constexpr size_t kMostRoutes = 256;  // the table has a few dozen; a mistake of the caller must not fill the memory

}  // namespace

class Metrics::Impl {
 public:
  Impl()
      : models_(registry_),
        requests_(counters(registry_, "quern_http_requests_total", "Answered requests by route and status code")),
        request_seconds_(
            histograms(registry_, "quern_http_request_seconds", "From a request's header to the answer's end")),
        cancellations_(
            counters(registry_, "quern_cancellations_total", "Requests that did not run to their end, by cause")),
        rate_limited_(
            counters(registry_, "quern_rate_limited_total", "Requests refused because a key used up its limit")) {
    for (size_t i = 0; i < kCauses.size(); ++i) causes_[i] = &cancellations_.Add({{"cause", kCauses[i]}});
    limited_requests_ = &rate_limited_.Add({{"limit", "requests"}});
    limited_tokens_ = &rate_limited_.Add({{"limit", "tokens"}});
    gauges(registry_, "quern_build_info", "Always 1; the version is a label").Add({{"version", QUERN_VERSION}}).Set(1);
    gauges(registry_, "quern_start_time_seconds", "When the server started, in Unix time").Add({}).SetToCurrentTime();
  }

  struct Route {
    Histogram* seconds = nullptr;
    std::map<int, Counter*> codes;
  };

  void request(const std::string& name, int code, double seconds) {
    const std::lock_guard lock(mutex_);
    const std::string& known = routes_.count(name) != 0 || routes_.size() < kMostRoutes ? name : kOther;
    Route& route = routes_[known];
    if (route.seconds == nullptr) route.seconds = &request_seconds_.Add({{"route", known}}, one_two_five(-3, 500));
    const int valid = code >= 100 && code <= 599 ? code : 0;
    Counter*& counter = route.codes[valid];
    if (counter == nullptr) counter = &requests_.Add({{"route", known}, {"code", std::to_string(valid)}});
    counter->Increment();
    route.seconds->Observe(seconds);
  }

  std::shared_ptr<ModelMetrics> model(const std::string& name) {
    const std::lock_guard lock(mutex_);
    auto& member = members_[name];
    if (!member) member = std::make_shared<ModelMember>(models_, name);
    return member;
  }

  static inline const std::string kOther = "other";

  Registry registry_;
  ModelFamilies models_;
  Family<Counter>& requests_;
  Family<Histogram>& request_seconds_;
  Family<Counter>& cancellations_;
  Family<Counter>& rate_limited_;
  std::array<Counter*, kCauses.size()> causes_{};
  Counter *limited_requests_ = nullptr, *limited_tokens_ = nullptr;
  Counter& refused_keys_ =
      counters(registry_, "quern_refused_keys_total", "Requests without a key, or with a wrong one").Add({});
  Counter& queue_full_ =
      counters(registry_, "quern_queue_full_total", "Requests refused because too many were waiting").Add({});
  Counter& replayed_ =
      counters(registry_, "quern_replayed_events_total", "Events sent again to clients that came back").Add({});
  Gauge& connections_ = gauges(registry_, "quern_http_connections", "Open connections").Add({});
  Gauge& in_flight_ = gauges(registry_, "quern_http_requests_in_flight", "Requests that are being answered").Add({});
  Family<Gauge>& sessions_ = gauges(registry_, "quern_sessions", "Streaming sessions by state: attached, detached");
  Gauge& attached_ = sessions_.Add({{"state", "attached"}});
  Gauge& detached_ = sessions_.Add({{"state", "detached"}});
  Gauge& session_bytes_ =
      gauges(registry_, "quern_session_bytes", "Events and conversations of streaming sessions").Add({});
  Gauge& resident_ =
      gauges(registry_, "quern_resident_memory_bytes", "Memory of the process, mapped files included").Add({});
  Gauge& memory_limit_ =
      gauges(registry_, "quern_memory_limit_bytes", "Most memory of all loaded models; 0: no limit").Add({});
  Gauge& degraded_ = gauges(registry_, "quern_degraded", "1 while /health says degraded").Add({});
  Gauge& draining_ = gauges(registry_, "quern_draining", "1 after SIGTERM").Add({});

  std::mutex mutex_;
  std::map<std::string, Route> routes_;
  std::map<std::string, std::shared_ptr<ModelMember>> members_;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

std::shared_ptr<ModelMetrics> Metrics::model(const std::string& name) {
  return impl_->model(name);
}
void Metrics::request(const std::string& route, int code, double seconds) {
  impl_->request(route, code, seconds);
}
void Metrics::cancelled(CancelCause cause) {
  impl_->causes_[static_cast<size_t>(cause)]->Increment();
}
void Metrics::rate_limited(std::string_view limit) {
  (limit == "tokens" ? impl_->limited_tokens_ : impl_->limited_requests_)->Increment();
}
void Metrics::refused_key() {
  impl_->refused_keys_.Increment();
}
void Metrics::queue_full() {
  impl_->queue_full_.Increment();
}
void Metrics::replayed(uint64_t events) {
  impl_->replayed_.Increment(static_cast<double>(events));
}
void Metrics::set_connections(size_t open) {
  impl_->connections_.Set(static_cast<double>(open));
}
void Metrics::set_requests_in_flight(size_t requests) {
  impl_->in_flight_.Set(static_cast<double>(requests));
}
void Metrics::set_sessions(size_t open, size_t without_client, size_t bytes) {
  impl_->session_bytes_.Set(static_cast<double>(bytes));
  impl_->attached_.Set(static_cast<double>(open - std::min(open, without_client)));
  impl_->detached_.Set(static_cast<double>(without_client));
}
void Metrics::set_memory(uint64_t resident_bytes, uint64_t limit_bytes) {
  impl_->resident_.Set(static_cast<double>(resident_bytes));
  impl_->memory_limit_.Set(static_cast<double>(limit_bytes));
}
void Metrics::set_degraded(bool degraded) {
  impl_->degraded_.Set(degraded ? 1 : 0);
}
void Metrics::set_draining(bool draining) {
  impl_->draining_.Set(draining ? 1 : 0);
}

std::string Metrics::render() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, impl_->registry_.Collect());
  return std::move(out).str();
}

}  // namespace quern::server
