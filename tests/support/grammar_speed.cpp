// grammar_speed: what grammars cost on a model's vocabulary: to make the tries, to read a grammar, the first mask, and
// each mask of random texts that the grammar allows. Not part of any test: figures belong to the machine.
//
// grammar_speed MODEL.gguf FILE...: *.gbnf or JSON schemas (*.json)
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <iterator>

#include "base/clock.h"
#include "base/rng.h"
#include "engine/grammar_runs.h"
#include "engine/model_file.h"
#include "engine/vocab.h"

namespace {

using namespace quern;

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int32_t pick(const std::vector<uint32_t>& mask, SplitMix64& rng) {
  size_t n = 0;
  for (const uint32_t w : mask) n += static_cast<size_t>(std::popcount(w));
  size_t at = rng.next() % n;
  for (size_t i = 0;; ++i) {
    const auto here = static_cast<size_t>(std::popcount(mask[i]));
    if (at >= here) {
      at -= here;
      continue;
    }
    uint32_t w = mask[i];
    for (; at > 0; --at) w &= w - 1;
    return static_cast<int32_t>(i * 32 + static_cast<size_t>(std::countr_zero(w)));
  }
}

// Texts of at most 300 tokens until there are so many masks; seconds of each with the token's acceptance.
std::vector<double> walk(const std::shared_ptr<grammar::GrammarRun>& run, size_t n_masks) {
  SplitMix64 rng(1);
  std::vector<double> seconds;
  while (seconds.size() < n_masks) {
    grammar::Matcher matcher(run, {});
    for (int i = 0; i < 300 && !matcher.complete(); ++i) {
      const double before = now_s();
      const auto mask = matcher.mask();
      const double found = now_s();
      if (!mask) {
        fmt::print("  {}\n", mask.error().message);
        return seconds;
      }
      const int32_t id = pick(**mask, rng);
      if (run->vocabulary->is_end(id)) break;
      const double chosen = now_s();
      matcher.accept(id);
      seconds.push_back(found - before + (now_s() - chosen));
    }
  }
  return seconds;
}

void show(const std::string& path, GrammarRuns& runs) {
  const std::string source = contents(path);
  const double begin = now_s();
  const auto grammar = path.ends_with(".gbnf") ? Grammar::gbnf(source) : Grammar::json_schema(source);
  if (!grammar) {
    fmt::print("{}: {}\n", path, grammar.error().message);
    return;
  }
  const double read = now_s();
  const auto run = runs.get(*grammar);
  grammar::Matcher first(run, {});
  (void)first.mask();
  const double ready = now_s();
  std::vector<double> seconds = walk(run, 20000);
  if (seconds.empty()) return;
  double sum = 0;
  for (const double s : seconds) sum += s;
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double p) {
    return 1e6 * seconds[static_cast<size_t>(p * static_cast<double>(seconds.size() - 1))];
  };
  fmt::print(
      "{}: read {:.2f} ms, first mask {:.2f} ms; masks of {}: mean {:.1f} us, median {:.1f}, p99 {:.1f}, p99.9 {:.1f}, "
      "max {:.1f}; {} states\n",
      path, 1e3 * (read - begin), 1e3 * (ready - read), seconds.size(), 1e6 * sum / static_cast<double>(seconds.size()),
      at(0.5), at(0.99), at(0.999), at(1), run->automaton.n_states());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print("usage: grammar_speed MODEL.gguf FILE...\n");
    return 2;
  }
  auto file = ModelFile::open(argv[1]);
  if (!file) return fmt::print("{}\n", file.error().message), 1;
  auto vocab = read_vocab((*file)->view());
  auto tokenizer = vocab ? Tokenizer::create(*vocab) : tl::unexpected(vocab.error());
  if (!tokenizer) return fmt::print("{}\n", tokenizer.error().message), 1;
  GrammarRuns runs(**tokenizer, static_cast<size_t>((*tokenizer)->n_vocab()));
  const double begin = now_s();
  (void)runs.get(*Grammar::gbnf("root ::= \"x\""));
  fmt::print("{} tokens: tries in {:.0f} ms\n", (*tokenizer)->n_vocab(), 1e3 * (now_s() - begin));
  for (int i = 2; i < argc; ++i) show(argv[i], runs);
  return 0;
}
