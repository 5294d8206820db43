// sample_grammars MODEL.gguf [--seed N] [--temperature T] [--max-tokens N] [--parallel N]: reads lines of JSON,
// {"id": ..., "schema": "TEXT"} (or "regex", "gbnf"), samples a text of each from the model, several in one batch, and
// writes a line {"id", "text", "reason", "warnings"} for each, in order; {"id", "refused", "code"} where the grammar is
// not taken, {"id", "failed"} where the generation fails. Nothing is cut off by probability: any token that the grammar
// lets through may come. For tests/grammar.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "quern/quern.h"

namespace {

using nlohmann::json;
using quern::Engine;
using quern::Grammar;
using quern::Result;

struct Settings {
  std::string model;
  uint64_t seed = 1;
  float temperature = 1.5f;
  size_t max_tokens = 256;
  size_t n_parallel = 8;
};

const char* code_name(quern::ErrorCode code) {
  switch (code) {
    case quern::ErrorCode::kInvalidArgument:
      return "invalid";
    case quern::ErrorCode::kUnsupported:
      return "unsupported";
    case quern::ErrorCode::kResource:
      return "resource";
    default:
      return "other";
  }
}

Result<Grammar> grammar_of(const json& line) {
  if (line.contains("schema")) return Grammar::json_schema(line["schema"].get<std::string>());
  if (line.contains("regex")) return Grammar::regex(line["regex"].get<std::string>());
  return Grammar::gbnf(line.at("gbnf").get<std::string>());
}

// Answers the lines of one batch, in place.
void answer(Engine& engine, const Settings& settings, uint64_t first, std::vector<json>& lines) {
  std::vector<Engine::Request> requests;
  std::vector<size_t> of;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto grammar = grammar_of(lines[i]);
    json out = {{"id", lines[i].at("id")}};
    if (grammar) {
      out["warnings"] = grammar->warnings();
      quern::GenerateOptions options;
      options.max_tokens = lines[i].value("max_tokens", settings.max_tokens);
      options.grammar = *grammar;
      options.sampling.temperature = settings.temperature;
      options.sampling.top_k = 0;
      options.sampling.top_p = 1;
      options.sampling.min_p = 0;
      options.sampling.seed = settings.seed + first + i;
      requests.push_back({engine.tokenize("JSON: "), std::move(options), {}});
      of.push_back(i);
    } else {
      out["refused"] = grammar.error().message;
      out["code"] = code_name(grammar.error().code);
    }
    lines[i] = std::move(out);
  }
  const auto results = engine.generate_all(std::move(requests));
  for (size_t r = 0; r < results.size(); ++r) {
    json& out = lines[of[r]];
    if (results[r]) {
      out["text"] = results[r]->completions[0].text;
      out["reason"] = quern::stop_reason_name(results[r]->completions[0].reason);
      out["n_tokens"] = results[r]->completions[0].ids.size();
    } else {
      out["failed"] = results[r].error().message;
    }
  }
}

int run(const Settings& settings) {
  const auto engine = Engine::load({.model_path = settings.model, .n_parallel = settings.n_parallel});
  if (!engine) {
    fmt::print(stderr, "sample_grammars: {}\n", engine.error().message);
    return 1;
  }
  uint64_t n_read = 0;
  std::vector<json> batch;
  const auto flush = [&] {
    answer(**engine, settings, n_read - batch.size(), batch);
    for (const json& out : batch) std::cout << out.dump() << '\n';
    batch.clear();
  };
  for (std::string line; std::getline(std::cin, line);) {
    batch.push_back(json::parse(line));
    ++n_read;
    if (batch.size() == settings.n_parallel) flush();
  }
  flush();
  return std::cout.flush() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("samples texts under grammars");
  app.add_option("model", settings.model)->required();
  app.add_option("--seed", settings.seed);
  app.add_option("--temperature", settings.temperature);
  app.add_option("--max-tokens", settings.max_tokens);
  app.add_option("--parallel", settings.n_parallel)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(settings);
  } catch (const std::exception& e) {  // a line that is no JSON, a text that is no UTF-8
    fmt::print(stderr, "sample_grammars: {}\n", e.what());
    return 1;
  }
}
