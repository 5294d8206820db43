// quern tokenize: text to token ids, as the model's own tokenizer makes them.
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/model_file.h"
#include "cli/read_input.h"
#include "engine/vocab.h"
#include "text/tokenizer.h"

namespace quern::cli {

namespace {

struct TokenizeOptions {
  std::string model;
  std::optional<std::string> text;
  std::optional<std::string> file;
  bool add_special = false;
  bool no_parse_special = false;
  bool json = false;

  std::vector<Field> fields() {
    return {
        {"MODEL", &model, "A file, or a name from quern list", {.required = true}},
        {"TEXT", &text, "What to tokenize"},
        {"--file", &file, "Tokenize this file's contents instead; - for standard input"},
        {"--add-special", &add_special, "Add the tokens that the model wants around a text, such as BOS"},
        {"--no-parse-special", &no_parse_special, "Names of special tokens in the text are plain text"},
        {"--json", &json, "Print one JSON object: ids and pieces; bytes of a piece that are no UTF-8 show as U+FFFD"}};
  }
};

constexpr std::string_view kExamples =
    "  quern tokenize default \"Hello, world\"\n"
    "  quern tokenize default --file book.txt --json\n"
    "  quern tokenize default -- \"--text that begins with dashes\"\n";

Result<std::unique_ptr<Tokenizer>> tokenizer_of(const std::string& model) {
  QUERN_TRY(const ModelFile file, ModelFile::open(model));
  QUERN_TRY(const VocabData data, read_vocab(file.view()));
  return Tokenizer::create(data);  // keeps nothing of the file
}

}  // namespace

int tokenize_command(Context& context) {
  TokenizeOptions options;
  if (auto code = context.parse(options, kExamples)) return *code;
  if (options.text.has_value() == options.file.has_value()) return context.usage_error("give either TEXT or --file");
  auto text = options.file ? read_input(*options.file) : Result<std::string>(std::move(*options.text));
  if (!text) return context.failed(text.error());
  const auto tokenizer = tokenizer_of(options.model);
  if (!tokenizer) return context.failed(tokenizer.error());

  const std::vector<int32_t> ids =
      (*tokenizer)->encode(*text, {.add_special = options.add_special, .parse_special = !options.no_parse_special});
  auto pieces = nlohmann::json::array();
  for (const int32_t id : ids) pieces.push_back((*tokenizer)->piece(id, /*render_special=*/true));
  if (options.json) {
    context.print_json({{"ids", ids}, {"pieces", std::move(pieces)}});
    return kExitOk;
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    context.print(
        fmt::format("{:>8}  {}\n", ids[i], pieces[i].dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  }
  return kExitOk;
}

}  // namespace quern::cli
