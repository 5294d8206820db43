// Engine: loading, and the calls that need no scheduling. Generation is in generate.cpp.
#include <algorithm>

#include "base/checked.h"
#include "base/clock.h"
#include "engine/engine_impl.h"
#include "engine/vocab.h"
#include "quern/quern.h"

namespace quern {

std::string_view stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfText:
      return "end_of_text";
    case StopReason::kStopString:
      return "stop_string";
    case StopReason::kMaxTokens:
      return "max_tokens";
    case StopReason::kContextFull:
      return "context_full";
    case StopReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::load(const EngineOptions& options) {
  return Impl::load(options, {});
}

Result<std::unique_ptr<Engine>> Engine::Impl::load(const EngineOptions& options, const BackendFactory& make_backend) {
  const double start = now_s();
  auto impl = std::make_unique<Impl>();
  QUERN_TRY(impl->runner, Runner::create(options, make_backend));
  const GgufView& file = impl->runner->file();
  QUERN_TRY(const VocabData vocab, read_vocab(file));
  QUERN_TRY(impl->tokenizer, Tokenizer::create(vocab));
  impl->n_parallel = options.n_parallel;
  // One context of prefixes: a chat's next turn begins with the last.
  impl->loop = std::make_unique<Loop>(
      *impl->runner, *impl->tokenizer,
      LoopOptions{.n_parallel = options.n_parallel, .prefix_pages = div_up(impl->runner->n_ctx(), kKvPageTokens) + 1});
  QUERN_CHECK_OK(impl->describe());
  impl->info.load_seconds = now_s() - start;
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Status Engine::Impl::describe() {
  const GgufView& file = runner->file();
  const Model& model = runner->model();
  const ModelConfig& c = model.config();
  QUERN_TRY(const std::string_view name, file.get_string("general.name", ""));
  QUERN_TRY(const std::string_view text, file.get_string("tokenizer.chat_template", ""));
  chat_template = text;
  info = {.architecture = c.arch,
          .model_name = std::string(name),
          .isa = runner->backend_info().detail,
          .n_threads = runner->threads(),
          .n_threads_batch = runner->threads_batch(),
          .threads_reason = runner->threads_reason(),
          .n_ctx = runner->n_ctx(),
          .n_ctx_train = c.n_ctx_train,
          .n_vocab = c.n_vocab,
          .n_layers = c.n_layers,
          .file_bytes = file.file_bytes(),
          .weight_bytes = model.memory().weight_bytes,
          .weights = runner->backend_info().weights,
          .kv_bytes_per_token = model.kv_shape().bytes_per_position(),
          .scratch_bytes = model.memory().scratch_bytes,
          .notices = runner->notices()};
  if (!model.unused_tensors().empty()) {
    info.notices.push_back(fmt::format("{} tensors of the file are not used by this architecture, the first is {}",
                                       model.unused_tensors().size(), model.unused_tensors().front()));
  }
  if (static_cast<size_t>(tokenizer->n_vocab()) > c.n_vocab) {
    return fail_f(ErrorCode::kCorrupt, "{}: the tokenizer has {} tokens, the embedding table {} rows", file.file_name(),
                  tokenizer->n_vocab(), c.n_vocab);
  }
  return {};
}

const EngineInfo& Engine::info() const {
  return impl_->info;
}
std::string_view Engine::chat_template() const {
  return impl_->chat_template;
}
std::string_view Engine::bos_text() const {
  const auto id = impl_->tokenizer->bos();
  return id ? impl_->tokenizer->text(*id) : std::string_view();
}
std::string_view Engine::eos_text() const {
  const auto id = impl_->tokenizer->eos();
  return id ? impl_->tokenizer->text(*id) : std::string_view();
}

std::vector<int32_t> Engine::tokenize(std::string_view text, bool add_special, bool parse_special) const {
  return impl_->tokenizer->encode(text, {.add_special = add_special, .parse_special = parse_special});
}

std::string Engine::detokenize(std::span<const int32_t> ids, bool render_special) const {
  return impl_->tokenizer->decode(ids, {.render_special = render_special});
}

std::string Engine::piece(int32_t id) const {
  return impl_->tokenizer->decode(std::span(&id, 1), {.render_special = true, .text_start = false});
}

void Engine::set_threads(unsigned n_threads, unsigned n_threads_batch) {
  impl_->runner->set_threads(n_threads, n_threads_batch);
  impl_->info.n_threads = impl_->runner->threads();
  impl_->info.n_threads_batch = impl_->runner->threads_batch();
}

Result<std::vector<float>> Engine::logits(std::span<const int32_t> ids) {
  std::vector<float> last;
  if (ids.empty()) return fail(ErrorCode::kInvalidArgument, "logits need at least one token");
  QUERN_CHECK_OK(evaluate(ids, ids.size() - 1, [&](size_t, std::span<const float> row) {
    last.assign(row.begin(), row.end());
    return true;
  }));
  return last;
}

Status Engine::evaluate(std::span<const int32_t> ids, size_t first,
                        const std::function<bool(size_t, std::span<const float>)>& visit) {
  Runner& runner = *impl_->runner;
  if (ids.size() > runner.n_ctx()) {
    return fail_f(ErrorCode::kTooLong, "{} tokens are needed, the context holds {}", ids.size(), runner.n_ctx());
  }
  if (first >= ids.size()) return {};
  const size_t n_vocab = runner.model().config().n_vocab;
  PageTable pages(runner.kv().pool());
  for (size_t at = 0; at < ids.size();) {
    const bool wanted = at >= first;
    const size_t n = wanted ? std::min(ids.size() - at, std::min(runner.max_logit_rows(), runner.max_tokens()))
                            : std::min(first - at, runner.max_tokens());
    const StepTimer step(runner.profiler());
    const RunnerInput input{.ids = ids.subspan(at, n), .first_position = at, .pages = &pages, .all_logits = wanted};
    QUERN_TRY(const RunnerOutput out, runner.forward({&input, 1}));
    for (size_t i = 0; wanted && i < n; ++i) {
      if (!visit(at + i, out.logits.subspan(i * n_vocab, n_vocab))) return {};
    }
    at += n;
  }
  return {};
}

Result<double> Engine::time_forward(const ForwardShape& shape) {
  Runner& runner = *impl_->runner;
  if (shape.n_sequences == 0 || shape.n_tokens == 0 || shape.n_sequences > impl_->n_parallel) {
    return fail_f(ErrorCode::kInvalidArgument, "a batch of {} sequences of {} tokens; at most {} sequences",
                  shape.n_sequences, shape.n_tokens, impl_->n_parallel);
  }
  // Arbitrary ids: the time does not depend on them.
  const size_t n_vocab = runner.model().config().n_vocab;
  std::vector<int32_t> ids(shape.n_tokens);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((i * 7919 + 13) % n_vocab);
  impl_->loop->prefixes().clear();
  auto& tables = impl_->bench_tables;
  while (tables.size() < shape.n_sequences) tables.emplace_back(runner.kv().pool());
  while (tables.size() > shape.n_sequences) tables.pop_back();
  const double start = now_s();
  for (size_t done = 0; done < shape.n_tokens;) {
    const size_t n = std::min(shape.n_tokens - done, std::max<size_t>(1, runner.max_tokens() / shape.n_sequences));
    const StepTimer step(runner.profiler());
    std::vector<RunnerInput> inputs;
    for (PageTable& table : tables) {
      inputs.push_back({.ids = std::span<const int32_t>(ids).subspan(done, n),
                        .first_position = shape.depth + done,
                        .pages = &table,
                        .want_logits = done + n == shape.n_tokens});
    }
    QUERN_CHECK_OK(runner.forward(inputs));
    done += n;
  }
  return now_s() - start;
}

Profile Engine::take_profile() {
  ProfilingBackend* profiler = impl_->runner->profiler();
  return profiler != nullptr ? profiler->take() : Profile();
}

size_t Engine::forward_bytes(const ForwardShape& shape) const {
  const Model& model = impl_->runner->model();
  const KvShape kv = model.kv_shape();
  size_t positions = 0;
  for (size_t i = 0; i < kv.n_layers; ++i) positions += model.visible(i, shape.depth + shape.n_tokens);
  return model.memory().weight_bytes +
         shape.n_sequences * positions * kv.n_kv_heads * kv.head_dim * 2 * sizeof(uint16_t);
}

double Engine::forward_macs(const ForwardShape& shape) const {
  const Model& model = impl_->runner->model();
  const ModelConfig& c = model.config();
  const auto per_layer =
      static_cast<double>(c.d_model * c.head_dim * (2 * c.n_heads + 2 * c.n_kv_heads) + 3 * c.d_model * c.d_ff);
  const auto tokens = static_cast<double>(shape.n_tokens * shape.n_sequences);
  double attention = 0;
  for (size_t i = 0; i < c.n_layers; ++i) {
    for (size_t t = 0; t < shape.n_tokens; ++t) {
      attention += static_cast<double>(2 * c.n_heads * c.head_dim * model.visible(i, shape.depth + t + 1));
    }
  }
  return tokens * per_layer * static_cast<double>(c.n_layers) + static_cast<double>(shape.n_sequences) * attention +
         static_cast<double>(shape.n_sequences * c.d_model * c.n_vocab);
}

}  // namespace quern
