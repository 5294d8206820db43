#include "cli/commands.h"

namespace quern::cli {

int bench_command(Context& context);
int list_command(Context& context);
int logits_command(Context& context);
int perplexity_command(Context& context);
int pull_command(Context& context);
int rm_command(Context& context);
int run_command(Context& context);
int serve_command(Context& context);
int show_command(Context& context);
int template_command(Context& context);
int tokenize_command(Context& context);

std::span<const Command> commands() {
  static constexpr Command kCommands[] = {
      {"bench", "Measure speed beside the machine's limits", bench_command},
      {"list", "Models by name, and those in the cache folder", list_command},
      {"logits", "Print the likeliest next tokens", logits_command},
      {"perplexity", "Measure how well a model predicts a text", perplexity_command},
      {"pull", "Fetch a model into the cache folder", pull_command},
      {"rm", "Remove a model from the cache folder", rm_command},
      {"run", "Answer a prompt, or chat", run_command},
      {"serve", "Answer HTTP clients: OpenAI's and Ollama's APIs", serve_command},
      {"show", "Print what a model file holds: keys, tensors, sizes, bits per weight", show_command},
      {"template", "Render a chat template", template_command},
      {"tokenize", "Turn text into token ids", tokenize_command},
  };
  return kCommands;
}

}  // namespace quern::cli
