#include "server/ollama/options.h"

#include <algorithm>
#include <random>

namespace quern::server::ollama {

namespace {

constexpr double kIntMax = 2147483647.0;

// Which one it was cannot be told in Ollama's answers: who wants to repeat a text sends a seed.
uint64_t seed_by_chance() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

void Options::fields(FieldVisitor& v) {
  v.member({"num_ctx", "Positions that prompt and output may take together; at most the server's", {.min = 1}},
           num_ctx);
  v.member({"num_predict", "Most tokens of the output; negative: up to the end of the context", {.min = -2}},
           num_predict);
  v.member({"seed", "The same seed gives the same text; negative: one by chance"}, seed);
  v.member({"temperature", "0 takes the likeliest token", {.min = 0, .max = 100}}, temperature);
  v.member({"top_k", "Keep the k likeliest tokens; 0 or less keeps all", {.min = -1, .max = kIntMax}}, top_k);
  v.member({"top_p", "Keep the likeliest tokens that together reach this", {.min = 0, .max = 1}}, top_p);
  v.member({"min_p", "Keep tokens at least this likely, relative to the likeliest", {.min = 0, .max = 1}}, min_p);
  v.member({"typical_p", "Keep the most typical tokens; 1 keeps all", {.min = 0, .max = 1}}, typical_p);
  v.member({"repeat_last_n", "Recent tokens that penalties look at; 0: off, -1: all", {.min = -1, .max = kIntMax}},
           repeat_last_n);
  v.member({"repeat_penalty", "Divides the logits of recent tokens; 1: off", {.min = 0.01, .max = 100}},
           repeat_penalty);
  v.member({"presence_penalty", "Taken once from each recent token", {.min = -100, .max = 100}}, presence_penalty);
  v.member({"frequency_penalty", "Taken from a recent token for each time", {.min = -100, .max = 100}},
           frequency_penalty);
  v.member({"stop", "Texts that end the output and are not part of it"}, stop);
  v.refuse("mirostat", "there is no such sampler here; use top_p, min_p or typical_p", {"0"});
  for (const char* name : {"mirostat_tau", "mirostat_eta"}) v.ignore(name, "belongs to mirostat");
  v.ignore("tfs_z", "Ollama has no such sampler any more");
  v.ignore("penalize_newline", "line breaks are tokens like others");
  v.ignore("num_keep", "nothing of a context is dropped while it is written");
  v.ignore("num_batch", "an option of the server: n_batch");
  v.ignore("num_thread", "an option of the server: n_threads");
  for (const char* name : {"num_gpu", "main_gpu", "low_vram", "f16_kv"}) v.ignore(name, "models run on the processor");
  for (const char* name : {"use_mmap", "use_mlock", "numa", "vocab_only", "logits_all"}) {
    v.ignore(name, "how a model is loaded is the server's matter");
  }
}

Result<GenerateOptions> Options::for_engine(size_t n_ctx, size_t max_tokens) const {
  if (num_ctx && static_cast<uint64_t>(*num_ctx) > n_ctx) {
    return fail_f(ErrorCode::kInvalidArgument,
                  "'num_ctx' is {}, the model has {} positions on this server; ask for at most that, or raise n_ctx",
                  *num_ctx, n_ctx);
  }
  GenerateOptions o;
  o.n_ctx = num_ctx ? static_cast<size_t>(*num_ctx) : 0;
  const size_t room = o.n_ctx != 0 ? o.n_ctx : n_ctx;
  o.max_tokens = room;
  if (num_predict && *num_predict > 0) o.max_tokens = std::min(room, static_cast<size_t>(*num_predict));
  if (!num_predict && max_tokens != 0) o.max_tokens = std::min(room, max_tokens);
  o.sampling = {.temperature = static_cast<float>(temperature),
                .top_k = static_cast<int32_t>(top_k),
                .top_p = static_cast<float>(top_p),
                .min_p = static_cast<float>(min_p),
                .typical_p = static_cast<float>(typical_p),
                .repeat_penalty = static_cast<float>(repeat_penalty),
                .repeat_last_n = static_cast<int32_t>(repeat_last_n),
                .presence_penalty = static_cast<float>(presence_penalty),
                .frequency_penalty = static_cast<float>(frequency_penalty),
                .seed = seed && *seed >= 0 ? static_cast<uint64_t>(*seed) : seed_by_chance()};
  o.stop = stop;
  return o;
}

std::optional<BodyError> read_options(const Json& value, Options& to, std::vector<std::string>& ignored) {
  if (value.is_null()) return std::nullopt;
  std::vector<std::string> names;
  auto problem = read_body(value, to, Unknown::kIgnore, names);
  for (const std::string& name : names) ignored.push_back("options." + name);
  if (problem) problem->param = problem->param.empty() ? "options" : "options." + problem->param;
  return problem;
}

const std::string& options_schema() {
  static const std::string kText = [] {
    Json schema = body_schema<Options>();
    schema["type"] = {"object", "null"};
    return schema.dump();
  }();
  return kText;
}

}  // namespace quern::server::ollama
