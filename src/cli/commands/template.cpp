// quern template: a chat template rendered with a context, as every place that renders a chat does it.
#include <ctime>
#include <nlohmann/json.hpp>

#include "chat/chat_template.h"
#include "cli/commands.h"
#include "cli/model_file.h"
#include "cli/read_input.h"
#include "engine/vocab.h"
#include "os/file.h"

namespace quern::cli {

namespace {

struct TemplateOptions {
  std::string source;
  std::string context;
  std::string now;

  std::vector<Field> fields() {
    return {{"SOURCE",
             &source,
             "A model (a file, or a name from quern list) whose template is meant, or a file that holds one",
             {.required = true}},
            {"CONTEXT",
             &context,
             "A JSON file with the template's variables, such as messages; - for standard input",
             {.required = true}},
            {"--now", &now, "The time that the template is told, as 2026-01-31T12:00:00; else the clock's"}};
  }
};

constexpr std::string_view kTemplateKey = "tokenizer.chat_template";

constexpr std::string_view kExamples =
    "  quern template default context.json\n"
    "  quern template chat.jinja context.json\n"
    "  echo '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"add_generation_prompt\": true}' |\n"
    "    quern template default -\n"
    "\nA model's bos_token, eos_token, unk_token and pad_token are set from it where the context has none.\n";

// A file that is no GGUF file and does not call itself one.
bool is_template_file(const std::string& source) {
  if (source.ends_with(".gguf")) return false;
  auto file = File::open(source, File::Mode::kRead);
  std::string magic(4, '\0');
  if (!file) return source.ends_with(".jinja");
  const auto n = file->read(std::as_writable_bytes(std::span(magic)));
  return n && (*n < magic.size() || magic != "GGUF");
}

// The special tokens' texts by the names that templates use.
Status set_special_tokens(const ModelFile& file, nlohmann::ordered_json& context) {
  QUERN_TRY(const VocabData vocab, read_vocab(file.view()));
  const std::pair<const char*, std::optional<int32_t>> names[] = {
      {"bos_token", vocab.bos}, {"eos_token", vocab.eos}, {"unk_token", vocab.unk}, {"pad_token", vocab.pad}};
  for (const auto& [name, id] : names) {
    if (!id || *id < 0 || static_cast<size_t>(*id) >= vocab.tokens.size() || context.contains(name)) continue;
    context[name] = vocab.tokens[static_cast<size_t>(*id)];
  }
  return {};
}

Result<nlohmann::ordered_json> read_context(const std::string& path) {
  QUERN_TRY(const std::string text, read_input(path));
  try {
    auto json = nlohmann::ordered_json::parse(text);
    if (json.is_object()) return json;
  } catch (const nlohmann::json::exception& error) {
    return fail_f(ErrorCode::kCorrupt, "{}: is not JSON: {}", path, error.what());
  }
  return fail_f(ErrorCode::kCorrupt, "{}: the context is no JSON object", path);
}

Result<std::tm> parse_time(const std::string& text) {
  std::tm time{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time);  // sets the day of the week, too
  if (end != nullptr && *end == '\0') return time;
  return fail_f(ErrorCode::kInvalidArgument, "--now wants a time like 2026-01-31T12:00:00, not '{}'", text);
}

Result<std::string> render(const TemplateOptions& options, const RenderOptions& how) {
  QUERN_TRY(nlohmann::ordered_json context, read_context(options.context));
  std::string source;
  if (is_template_file(options.source)) {
    QUERN_TRY(source, read_input(options.source));
  } else {
    QUERN_TRY(const ModelFile file, ModelFile::open(options.source));
    if (file.view().find(kTemplateKey) == nullptr) {
      return fail_f(ErrorCode::kNotFound, "{}: the model has no chat template ({})", file.path(), kTemplateKey);
    }
    QUERN_TRY(source, file.view().get_string(kTemplateKey));
    QUERN_CHECK_OK(set_special_tokens(file, context));
  }
  QUERN_TRY(const ChatTemplate chat, ChatTemplate::parse(source));
  return chat.render(context, how);
}

}  // namespace

int template_command(Context& context) {
  TemplateOptions options;
  if (auto code = context.parse(options, kExamples)) return *code;
  RenderOptions how;
  if (!options.now.empty()) {
    const auto time = parse_time(options.now);
    if (!time) return context.usage_error(time.error().message);
    how.now = *time;
  }
  const auto text = render(options, how);
  if (!text) return context.failed(text.error());
  context.print(*text);
  return kExitOk;
}

}  // namespace quern::cli
