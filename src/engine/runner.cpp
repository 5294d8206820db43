#include "engine/runner.h"

#include <algorithm>

#include "base/checked.h"
#include "os/env.h"
#include "os/paths.h"
#include "os/topology.h"

namespace quern {

namespace {

// Bounds of sense for options that set the size of buffers.
constexpr size_t kMaxBatch = 1u << 16, kMaxParallel = 1024, kMaxContext = 1u << 28;
constexpr unsigned kMaxThreads = 1024;

// What is measured for one process serves the next. Empty where there is no cache folder.
std::string tiles_path() {
  const auto folder = cache_folder();
  return folder ? *folder + "/tiles.json" : "";
}

Status check_options(const EngineOptions& o) {
  if (o.n_batch == 0 || o.n_batch > kMaxBatch) {
    return fail_f(ErrorCode::kInvalidArgument, "n_batch is {}, expected 1 to {}", o.n_batch, kMaxBatch);
  }
  if (o.n_parallel == 0 || o.n_parallel > kMaxParallel) {
    return fail_f(ErrorCode::kInvalidArgument, "n_parallel is {}, expected 1 to {}", o.n_parallel, kMaxParallel);
  }
  if (o.n_ctx > kMaxContext) {
    return fail_f(ErrorCode::kInvalidArgument, "n_ctx is {}, expected at most {}", o.n_ctx, kMaxContext);
  }
  if (o.n_threads > kMaxThreads || o.n_threads_batch > kMaxThreads) {
    return fail_f(ErrorCode::kInvalidArgument, "{} threads, expected at most {}",
                  std::max(o.n_threads, o.n_threads_batch), kMaxThreads);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Runner>> Runner::create(const EngineOptions& options, const BackendFactory& make_backend) {
  QUERN_CHECK_OK(check_options(options));
  std::unique_ptr<Runner> r(new Runner());
  QUERN_TRY(r->file_, ModelFile::open(options.model_path, options.use_mmap));

  r->threads_ = options.n_threads;
  r->threads_reason_ = "as asked";
  if (r->threads_ == 0) {
    const ThreadCount chosen = default_threads();
    r->threads_ = chosen.threads;
    r->threads_reason_ = chosen.reason;
  }
  r->threads_batch_ = options.n_threads_batch != 0 ? options.n_threads_batch : r->threads_;
  r->max_threads_ = std::max(r->threads_, r->threads_batch_);
  if (make_backend) {
    QUERN_TRY(r->backend_, make_backend(r->max_threads_));
  } else {
    const std::string isa = options.isa.empty() ? env_get("QUERN_ISA").value_or("") : options.isa;
    CpuOptions cpu{.threads = r->max_threads_, .isa = isa, .files = r->file_->files(), .tiles_path = tiles_path()};
    // Whoever wants the file in memory of its own wants no mapping of the packed one either.
    if (options.pack_cache && options.use_mmap) {
      if (const auto folder = cache_folder()) {
        cpu.pack_cache = {.folder = *folder + "/packed", .limit_bytes = options.pack_cache_limit};
      } else {
        r->notices_.push_back(fmt::format("packed weights are not kept: {}", folder.error().message));
      }
    }
    QUERN_TRY(r->backend_, make_cpu_backend(cpu));
  }
  if (options.profile) {
    auto profiler = std::make_unique<ProfilingBackend>(std::move(r->backend_));
    r->profiler_ = profiler.get();
    r->backend_ = std::move(profiler);
  }
  QUERN_CHECK_OK(r->allocate(options));
  return r;
}

Status Runner::allocate(const EngineOptions& options) {
  QUERN_TRY(const ModelConfig config, read_config(file_->view()));
  n_ctx_ = options.n_ctx == 0 ? config.n_ctx_train : options.n_ctx;
  if (n_ctx_ > config.n_ctx_train) {
    return fail_f(ErrorCode::kInvalidArgument,
                  "{}: a context of {} tokens is beyond the {} that the model was made for; take at most that",
                  file_->view().file_name(), n_ctx_, config.n_ctx_train);
  }
  max_tokens_ = std::max(options.n_batch, options.n_parallel);
  max_logit_rows_ = std::max<size_t>(options.n_parallel, 32);
  QUERN_TRY(model_, load_model(file_->view(), *backend_, {.n_ctx = n_ctx_, .max_tokens = max_tokens_}));
  QUERN_CHECK_OK(backend_->finish_weights());
  file_->release_pages();
  // Room for every sequence at full length, and as much again for prefixes that are kept: address space, which becomes
  // memory only as it is written.
  const size_t pages = div_up(n_ctx_, kKvPageTokens) * (options.n_parallel + 1) + 1;
  QUERN_TRY(const size_t most, pages_within(options.kv_bytes, pages));
  QUERN_TRY(kv_, KvStore::create(*backend_, model_->kv_shape(), most));
  const auto bytes = checked_mul(max_logit_rows_ * sizeof(float), config.n_vocab);
  if (!bytes) return fail_f(ErrorCode::kResource, "logits of {} rows overflow", max_logit_rows_);
  QUERN_TRY(logits_, backend_->make_buffer(*bytes));
  QUERN_TRY(states_, backend_->make_buffer(max_tokens_ * config.d_model * sizeof(float)));
  backend_info_ = backend_->info();
  notices_.insert(notices_.end(), backend_info_.notices.begin(), backend_info_.notices.end());
  return {};
}

// A limit in bytes as pages, which must hold one sequence at full length and a page to copy to.
Result<size_t> Runner::pages_within(uint64_t kv_bytes, size_t wanted) const {
  if (kv_bytes == 0) return wanted;
  const size_t page_bytes = model_->kv_shape().bytes_per_position() * kKvPageTokens;
  const size_t pages = kv_bytes / page_bytes, least = div_up(n_ctx_, kKvPageTokens) + 1;
  if (pages < least) {
    return fail_f(ErrorCode::kResource,
                  "a KV cache of {} bytes holds {} tokens, a context of {} needs {} bytes; take a smaller context or a "
                  "larger cache",
                  kv_bytes, pages * kKvPageTokens, n_ctx_, least * page_bytes);
  }
  return std::min(pages, wanted);
}

void Runner::set_threads(unsigned n, unsigned n_batch) {
  threads_ = std::clamp(n, 1u, max_threads_);
  threads_batch_ = std::clamp(n_batch, 1u, max_threads_);
}

Status Runner::check_inputs(std::span<const RunnerInput> inputs) const {
  const size_t n_vocab = model_->config().n_vocab;
  size_t tokens = 0, rows = 0;
  for (const RunnerInput& in : inputs) {
    if (in.first_position > n_ctx_ || in.ids.size() > n_ctx_ - in.first_position) {
      return fail_f(ErrorCode::kTooLong, "{} tokens are needed, the context holds {}",
                    in.first_position + in.ids.size(), n_ctx_);
    }
    for (int32_t id : in.ids) {
      if (id < 0 || static_cast<size_t>(id) >= n_vocab) {
        return fail_f(ErrorCode::kInvalidArgument, "token id {} is not in the vocabulary of {}", id, n_vocab);
      }
    }
    tokens += in.ids.size();
    if (in.states) continue;
    if (in.all_logits) rows += in.ids.size();
    if (in.want_logits && !in.all_logits && !in.ids.empty()) ++rows;
  }
  if (tokens > max_tokens_) return fail_f(ErrorCode::kInvalidArgument, "a batch of more than {} tokens", max_tokens_);
  if (rows > max_logit_rows_) {
    return fail_f(ErrorCode::kInvalidArgument, "logits of {} tokens at once, at most {}", rows, max_logit_rows_);
  }
  return {};
}

Result<RunnerOutput> Runner::forward(std::span<const RunnerInput> inputs) {
  ids_.clear();
  spans_.clear();
  rows_.clear();
  copies_.clear();
  size_t n_logits = 0;
  // Everything is checked before the first page changes hands: a page that was replaced and not copied would be lost.
  QUERN_CHECK_OK(check_inputs(inputs));
  for (const RunnerInput& in : inputs) {
    if (in.ids.empty()) continue;
    const size_t end = in.first_position + in.ids.size();
    if (auto ok = in.pages->make_writable(in.first_position, end, copies_); !ok) {
      kv_->copy(copies_);  // of the inputs before this one, whose pages are already their own
      return tl::unexpected<Error>(ok.error());
    }
    const size_t first = ids_.size();
    ids_.insert(ids_.end(), in.ids.begin(), in.ids.end());
    spans_.push_back({.first_token = first,
                      .n_tokens = in.ids.size(),
                      .first_position = in.first_position,
                      .pages = in.pages->pages()});
    const bool all = in.all_logits || in.states;
    if (!all && !in.want_logits) continue;
    for (size_t t = all ? first : ids_.size() - 1; t < ids_.size(); ++t) rows_.push_back(static_cast<uint32_t>(t));
    if (!in.states) n_logits = rows_.size();
  }
  // A batch of single tokens is bound by memory, a prompt by arithmetic: each has its own thread count.
  const bool decode = ids_.size() == spans_.size();
  if (profiler_ != nullptr) profiler_->begin_forward(decode, ids_.size());
  kv_->copy(copies_);
  backend_->set_threads(decode ? threads_ : threads_batch_);
  model_->forward({.ids = ids_, .sequences = spans_, .rows = rows_, .n_logits = n_logits}, *kv_, logits_->floats(),
                  states_->floats());
  const ModelConfig& c = model_->config();
  return RunnerOutput{.logits = {logits_->floats(), n_logits * c.n_vocab},
                      .states = {states_->floats(), (rows_.size() - n_logits) * c.d_model}};
}

}  // namespace quern
