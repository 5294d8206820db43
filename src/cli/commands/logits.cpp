// quern logits: what the model expects after a prompt, as log-probabilities.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cli/commands.h"
#include "cli/engine_options.h"

namespace quern::cli {

namespace {

struct LogitsOptions {
  ModelOptions model;
  std::optional<std::string> prompt;
  std::vector<int> ids;
  uint32_t top = 20;
  bool json = false;

  std::vector<Field> fields() {
    std::vector<Field> list;
    model.add_model(list);
    list.push_back({"--prompt", &prompt, "Text, with BOS where the model wants it; special tokens in it are parsed"});
    list.push_back({"--ids", &ids, "Token ids instead, exactly these", {.min = 0}});
    list.push_back({"--top", &top, "How many of the likeliest tokens to print", {.min = 1}});
    list.push_back({"--json", &json, "Print one JSON object: ids and top, pairs of id and log-probability"});
    model.add_context(list);
    model.add_machine(list);
    return list;
  }
};

// The ids of the `n` greatest, the lower id first on a tie.
std::vector<int32_t> best_of(const std::vector<double>& values, size_t n) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](int32_t a, int32_t b) {
    const double x = values[static_cast<size_t>(a)], y = values[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(std::min(n, order.size()));
  std::partial_sort(order.begin(), end, order.end(), before);
  order.erase(end, order.end());
  return order;
}

}  // namespace

int logits_command(Context& context) {
  LogitsOptions options;
  constexpr std::string_view kExamples =
      "  quern logits default --prompt \"The capital of France is\" --top 5\n"
      "  quern logits default --ids 1,2,3 --top 20 --json\n";
  if (auto code = context.parse(options, kExamples)) return *code;
  if (options.prompt.has_value() == !options.ids.empty()) return context.usage_error("give either --prompt or --ids");
  const auto engine = load_engine(options.model);
  if (!engine) return context.failed(engine.error());

  const std::vector<int32_t> ids = options.prompt ? (*engine)->tokenize(*options.prompt) : options.ids;
  const auto logits = (*engine)->logits(ids);
  if (!logits) return context.failed(logits.error());
  const std::vector<double> logprobs = log_softmax(*logits);
  auto top = nlohmann::json::array();
  for (const int32_t id : best_of(logprobs, options.top)) {
    const double logprob = logprobs[static_cast<size_t>(id)];
    if (options.json) {
      top.push_back({id, logprob});
      continue;
    }
    const nlohmann::json piece = (*engine)->detokenize({&id, 1}, /*render_special=*/true);
    context.print(fmt::format("{:>8}  {:>9.4f}  {:>7.3f} %  {}\n", id, logprob, 100 * std::exp(logprob),
                              piece.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  }
  if (options.json) context.print_json({{"ids", ids}, {"top", std::move(top)}});
  return kExitOk;
}

}  // namespace quern::cli
