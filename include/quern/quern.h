// quern: run a GGUF language model in your own program.
//
//   auto engine = quern::Engine::load({.model_path = "model.gguf"});
//   auto prompt = (*engine)->tokenize("Once upon a time");
//   auto result = (*engine)->generate(prompt, {.max_tokens = 64}, [](const quern::TokenEvent& e) {
//     std::cout << e.text << std::flush;
//     return true;  // false ends the text
//   });
//
// Threads: an Engine is used by one thread at a time, and starts its own workers. Two engines do not share anything.
// Results do not depend on the number of threads, the batch, or what else runs in the engine: the same prompt, options
// and seed give the same tokens and the same logits. Nothing throws; every failure is a Result (quern/result.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/grammar.h"
#include "quern/profile.h"
#include "quern/result.h"
#include "quern/sampling.h"

namespace quern {

struct EngineOptions {
  std::string model_path;         // a GGUF file; the first of a split set finds the rest
  size_t n_ctx = 0;               // positions a sequence may reach; 0: what the model was made for
  size_t n_batch = 512;           // most tokens in one forward; more is faster for long prompts and takes more memory
  unsigned n_threads = 0;         // for decode; 0: by physical cores and the control group's quota
  unsigned n_threads_batch = 0;   // for prompts; 0: as n_threads
  size_t n_parallel = 16;         // most sequences at a time (samples of one request count each)
  uint64_t kv_bytes = 0;          // most that keys and values may take; 0: every sequence at full length
  bool use_mmap = true;           // false reads the file into memory instead, and leaves the pack cache alone
  bool pack_cache = true;         // keep packed weights in the cache folder; loads after the first map them
  uint64_t pack_cache_limit = 0;  // bytes of all packs; 0: 20 GB, or a quarter of the free disk where that is less
  bool profile = false;           // time each operation, see take_profile()
  std::string isa;                // "" the best that this processor runs, else avx512, avx2, neon, neon_i8mm or ref
};

enum class StopReason : uint8_t { kEndOfText, kStopString, kMaxTokens, kContextFull, kCancelled };
// "end_of_text", "stop_string", ...
std::string_view stop_reason_name(StopReason reason);

struct GenerateOptions {
  size_t max_tokens = 256;
  size_t n_ctx = 0;  // positions that prompt and output may reach together; 0: the engine's
  unsigned n = 1;    // samples; they share one pass over the prompt
  SamplingOptions sampling;
  std::vector<std::string> stop;  // text that ends a sample; never part of the output
  Grammar grammar;                // what the output must match; none: anything
  // Where there are some, the output is free until one of them appears, and matches the grammar from its first byte on.
  std::vector<std::string> grammar_triggers;
  bool ignore_eos = false;       // go on after the model's end token
  bool render_special = false;   // show control tokens as text
  bool prompt_logprobs = false;  // of the prompt's tokens too, as sampling.logprobs asks; nothing cached is reused
  // Asked before each forward, so also while a long prompt is read: true ends every sample (kCancelled). May be empty.
  std::function<bool()> cancelled;
};

// One sampled token, as it happens. Views are valid during the call.
struct TokenEvent {
  unsigned sample = 0;
  int32_t id = 0;
  std::string_view text;  // now safe to show: whole UTF-8, no part of a stop string; may be empty
  bool end = false;       // the model's end token, with text that was held back: not among Completion::ids
  double logprob = 0;     // when sampling.logprobs >= 0
  std::span<const TokenLogProb> top;
};
// Return false to end that sample.
using TokenCallback = std::function<bool(const TokenEvent&)>;

struct TokenRecord {
  int32_t id = 0;
  double logprob = 0;
  std::vector<TokenLogProb> top;
};

struct Completion {
  std::vector<int32_t> ids;  // sampled tokens, without the end token
  std::string text;
  StopReason reason = StopReason::kMaxTokens;
  std::vector<TokenRecord> logprobs;  // when sampling.logprobs >= 0
};

struct GenerateStats {
  size_t prompt_tokens = 0;
  size_t cached_tokens = 0;   // of the prompt, whose keys and values were still there
  double queue_seconds = 0;   // before the first token of the prompt was read
  double prompt_seconds = 0;  // to read the rest of the prompt
  double first_token_seconds = 0;
  size_t generated_tokens = 0;  // of all samples
  double generate_seconds = 0;  // from the first token to the last
  [[nodiscard]] double prompt_tps() const {
    return prompt_seconds > 0 ? static_cast<double>(prompt_tokens - cached_tokens) / prompt_seconds : 0;
  }
  // The first token of each sample comes with the prompt, so it does not count.
  [[nodiscard]] double generate_tps(unsigned n = 1) const {
    return generate_seconds > 0 && generated_tokens > n ? static_cast<double>(generated_tokens - n) / generate_seconds
                                                        : 0;
  }
};

struct Generation {
  std::vector<Completion> completions;
  GenerateStats stats;
  std::vector<TokenRecord> prompt_logprobs;  // of prompt[1...], when asked for
  std::vector<float> embedding;              // [d_model], of a request that asked for one
};

struct EngineInfo {
  std::string architecture;
  std::string model_name;
  std::string isa;
  unsigned n_threads = 0, n_threads_batch = 0;
  std::string threads_reason;
  size_t n_ctx = 0, n_ctx_train = 0, n_vocab = 0, n_layers = 0;
  size_t file_bytes = 0;
  size_t weight_bytes = 0;  // resident, packed
  std::string weights;      // how they came to memory: "mapped from the cache", "packed in 1.20 s"
  size_t kv_bytes_per_token = 0;
  size_t scratch_bytes = 0;
  double load_seconds = 0;
  std::vector<std::string> notices;  // anything about the file that the user should know
};

struct ForwardShape {
  size_t n_tokens = 1;  // of each sequence
  size_t n_sequences = 1;
  size_t depth = 0;  // positions before them
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> load(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] const EngineInfo& info() const;
  // Jinja source, empty when the file has none.
  [[nodiscard]] std::string_view chat_template() const;
  [[nodiscard]] std::string_view bos_text() const;
  [[nodiscard]] std::string_view eos_text() const;

  // add_special: BOS and the like, as the model wants; parse_special: "<|im_end|>" in the text is that token.
  [[nodiscard]] std::vector<int32_t> tokenize(std::string_view text, bool add_special = true,
                                              bool parse_special = true) const;
  [[nodiscard]] std::string detokenize(std::span<const int32_t> ids, bool render_special = false) const;
  // The bytes of one token within a text, control tokens as text: perhaps a part of a character only.
  [[nodiscard]] std::string piece(int32_t id) const;

  // Generates to the end. kTooLong names the tokens needed and available when the prompt does not fit n_ctx.
  Result<Generation> generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                              const TokenCallback& on_token = {});

  // Several requests in one ragged batch; result i belongs to request i. A request that fails does not touch the
  // others.
  struct Request {
    std::vector<int32_t> prompt;
    GenerateOptions options;
    TokenCallback on_token;
  };
  std::vector<Result<Generation>> generate_all(std::vector<Request> requests);

  // The logits [n_vocab] after the last of `ids`.
  Result<std::vector<float>> logits(std::span<const int32_t> ids);
  // Calls visit(i, logits after ids[0 .. i]) for i in [first, ids.size()), in order; false from visit stops.
  Status evaluate(std::span<const int32_t> ids, size_t first,
                  const std::function<bool(size_t, std::span<const float>)>& visit);

  // For benchmarks: one forward over a made-up batch of that shape, logits of the last token of each sequence. Seconds.
  Result<double> time_forward(const ForwardShape& shape);
  // Bytes that a forward of that shape must read: packed weights once, keys and values of each sequence.
  [[nodiscard]] size_t forward_bytes(const ForwardShape& shape) const;
  // Multiply-adds of that forward, weights and attention.
  [[nodiscard]] double forward_macs(const ForwardShape& shape) const;
  // Where the time of the forwards since the last call went. Empty unless EngineOptions::profile.
  Profile take_profile();
  // At most what the engine was loaded with.
  void set_threads(unsigned n_threads, unsigned n_threads_batch);

 private:
  friend struct EngineInternals;
  class Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern
