#include "cli/conversation.h"

namespace quern::cli {

namespace {

nlohmann::ordered_json message(const char* role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

}  // namespace

std::vector<int32_t> rendered_ids(const Engine& engine, const std::string& rendered) {
  const std::string_view bos = engine.bos_text();
  const bool has_bos = !bos.empty() && rendered.starts_with(bos);  // else there would be two
  return engine.tokenize(rendered, /*add_special=*/!has_bos, /*parse_special=*/true);
}

Result<Conversation> Conversation::create(const Engine& engine, bool raw, const std::string& system) {
  Conversation c(engine);
  if (!raw && !engine.chat_template().empty()) {
    QUERN_TRY(c.template_, ChatTemplate::parse(engine.chat_template()));
  }
  if (!system.empty()) {
    if (!c.template_) return fail(ErrorCode::kUnsupported, "a system message needs a chat template, and there is none");
    c.system_.push_back(message("system", system));
  }
  c.clear();
  return c;
}

Result<std::vector<int32_t>> Conversation::prompt(const std::string& text) const {
  if (!template_) return engine_->tokenize(text);
  auto messages = messages_;
  messages.push_back(message("user", text));
  const nlohmann::ordered_json context = {{"messages", std::move(messages)},
                                          {"add_generation_prompt", true},
                                          {"bos_token", engine_->bos_text()},
                                          {"eos_token", engine_->eos_text()}};
  QUERN_TRY(const std::string rendered, template_->render(context));
  return rendered_ids(*engine_, rendered);
}

void Conversation::say(const std::string& text, const std::string& answer) {
  messages_.push_back(message("user", text));
  messages_.push_back(message("assistant", answer));
}

void Conversation::clear() {
  messages_ = system_;
}

}  // namespace quern::cli
