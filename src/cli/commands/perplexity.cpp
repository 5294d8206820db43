// quern perplexity: how well a model predicts a text.
//
// The convention of llama.cpp's perplexity tool: the text is cut into chunks of --ctx tokens, each scored by itself on
// its second half (of 512 tokens, positions 256 .. 510 predict 257 .. 511). Special tokens in the text are plain text.
// Where the model asks for BOS the text begins with it, and so does every chunk, its first token replaced.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/read_input.h"

namespace quern::cli {

namespace {

struct PerplexityOptions {
  ModelOptions model;
  std::string file;
  uint32_t chunk = 512;
  uint32_t chunks = 0;
  bool json = false;

  std::vector<Field> fields() {
    std::vector<Field> list;
    model.add_model(list);
    list.push_back({"FILE", &file, "The text; - for standard input", {.required = true}});
    list.push_back(
        {"--ctx", &chunk, "Tokens of a chunk, the second half of which is scored", {.min = 4, .max = 1 << 28}});
    list.push_back({"--chunks", &chunks, "Chunks from the start of the text; 0: all that it fills"});
    list.push_back({"--json", &json, "Print one JSON object: perplexity, nll (nats per token) and tokens scored"});
    model.add_machine(list);
    return list;
  }
};

struct Score {
  double nll = 0;  // sum
  size_t tokens = 0;
};

Status score_chunk(Engine& engine, std::span<const int32_t> ids, Score& score) {
  return engine.evaluate(ids, ids.size() / 2, [&](size_t i, std::span<const float> logits) {
    if (i + 1 == ids.size()) return false;  // nothing follows that it could predict
    score.nll -= log_softmax(logits)[static_cast<size_t>(ids[i + 1])];
    ++score.tokens;
    return true;
  });
}

Result<Score> score_text(Engine& engine, const std::string& text, const PerplexityOptions& options) {
  const std::vector<int32_t> all = engine.tokenize(text, /*add_special=*/true, /*parse_special=*/false);
  const std::vector<int32_t> start = start_token(engine);
  const size_t whole = all.size() / options.chunk;
  const size_t chunks = options.chunks == 0 ? whole : options.chunks;
  if (chunks > whole || chunks == 0) {
    return fail_f(ErrorCode::kInvalidArgument, "{}: has {} tokens, {} of {} tokens need {}", options.file, all.size(),
                  chunks <= 1 ? "a chunk" : fmt::format("{} chunks", chunks), options.chunk,
                  std::max<size_t>(chunks, 1) * options.chunk);
  }
  InterruptScope interrupt;
  ProgressBar bar("tokens");
  Score score;
  for (size_t c = 0; c < chunks; ++c) {
    if (InterruptScope::interrupted()) return fail(ErrorCode::kCancelled, "stopped");
    bar.update("perplexity", c * options.chunk, chunks * options.chunk);
    std::vector<int32_t> ids(all.begin() + static_cast<std::ptrdiff_t>(c * options.chunk),
                             all.begin() + static_cast<std::ptrdiff_t>((c + 1) * options.chunk));
    if (!start.empty()) ids[0] = start[0];
    QUERN_CHECK_OK(score_chunk(engine, ids, score));
  }
  return score;
}

}  // namespace

int perplexity_command(Context& context) {
  PerplexityOptions options;
  constexpr std::string_view kExamples =
      "  quern perplexity default book.txt\n"
      "  quern perplexity default wiki.test.txt --ctx 512 --chunks 4 --json\n";
  if (auto code = context.parse(options, kExamples)) return *code;
  const auto text = read_input(options.file);
  if (!text) return context.failed(text.error());
  options.model.n_ctx = options.chunk;
  const auto engine = load_engine(options.model);
  if (!engine) return context.failed(engine.error());
  const auto score = score_text(**engine, *text, options);
  if (!score) return context.failed(score.error());

  const double nll = score->nll / static_cast<double>(score->tokens);
  if (options.json) {
    context.print_json({{"perplexity", std::exp(nll)}, {"nll", nll}, {"tokens", score->tokens}});
  } else {
    context.print(fmt::format("perplexity {:.4f} ({:.5f} nats per token, {} tokens scored)\n", std::exp(nll), nll,
                              score->tokens));
  }
  return kExitOk;
}

}  // namespace quern::cli
