#include "server/ollama/turn.h"

#include <algorithm>

#include "server/generation.h"

namespace quern::server::ollama {

namespace {

// An answer that no template writes by itself, to find its place in what one rendered.
constexpr std::string_view kAnswer = "QUERN-ANSWER-94c1";

Json message(std::string_view role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

Result<std::string> rendered(const Model& model, const Turn& turn, const Json& messages) {
  return chat_text(model, messages, Json(nullptr), turn.variables);
}

// What follows an answer up to the next one.
Result<std::string> next_turn(const Model& model, const Turn& turn, bool with_system) {
  Json messages = Json::array({message("user", "..."), message("assistant", kAnswer)});
  if (with_system) messages.push_back(message("system", *turn.system));
  messages.push_back(message("user", turn.prompt));
  QUERN_TRY(const std::string text, rendered(model, turn, messages));
  const size_t at = text.find(kAnswer);
  if (at == std::string::npos) {
    return fail(ErrorCode::kUnsupported,
                "the model's template does not show earlier answers: 'context' cannot go on; use /api/chat");
  }
  return text.substr(at + kAnswer.size());
}

Result<std::string> first_turn(const Model& model, const Turn& turn) {
  Json messages = Json::array();
  if (turn.system) messages.push_back(message("system", *turn.system));
  messages.push_back(message("user", turn.prompt));
  return rendered(model, turn, messages);
}

}  // namespace

Result<TurnPrompt> turn_prompt(const Model& model, const Turn& turn) {
  const Engine& engine = model.engine();
  const auto n_vocab = static_cast<int64_t>(engine.info().n_vocab);
  if (std::any_of(turn.context.begin(), turn.context.end(), [&](int32_t id) { return id < 0 || id >= n_vocab; })) {
    return fail(ErrorCode::kInvalidArgument, "'context' has ids that this model does not know: it is another model's");
  }
  const bool plain = turn.raw || engine.chat_template().empty();
  if (plain && turn.system) {
    return fail(ErrorCode::kUnsupported, turn.raw ? "with 'raw' the prompt is the whole text: 'system' has no place"
                                                  : "the model has no chat template, so 'system' has no place");
  }
  TurnPrompt out{.ids = {}, .text = turn.prompt};
  std::string& text = out.text;
  if (!plain && turn.context.empty()) {
    QUERN_TRY(text, first_turn(model, turn));
  } else if (!plain) {
    auto next = next_turn(model, turn, turn.system.has_value());
    if (!next && turn.system) {
      next = next_turn(model, turn, /*with_system=*/false);
      out.system_left_out = true;
    }
    QUERN_TRY(text, std::move(next));
  }
  if (turn.context.empty()) {
    out.ids = tokenize_prompt(engine, text);
    return out;
  }
  out.ids = turn.context;
  const auto more = engine.tokenize(text, /*add_special=*/false, /*parse_special=*/true);
  out.ids.insert(out.ids.end(), more.begin(), more.end());
  return out;
}

}  // namespace quern::server::ollama
