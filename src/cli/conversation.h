// Conversation: the messages of a chat, and the token ids by which the model is asked for the next one.
//
// The text is the model's own chat template, rendered. Without a template (or when none is wanted) each prompt is a raw
// text by itself. The engine must outlive it. One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "quern/quern.h"

namespace quern::cli {

// The token ids of a rendered chat: its control tokens are those, and a BOS comes before it only where it has none.
std::vector<int32_t> rendered_ids(const Engine& engine, const std::string& rendered);

class Conversation {
 public:
  // `raw`: no template. The template's own errors, and kUnsupported for a system message that has nowhere to go.
  static Result<Conversation> create(const Engine& engine, bool raw, const std::string& system);

  [[nodiscard]] bool has_template() const { return template_.has_value(); }
  // The ids that ask for an answer to `text`. Changes nothing: say() with the answer does.
  Result<std::vector<int32_t>> prompt(const std::string& text) const;
  void say(const std::string& text, const std::string& answer);
  // Forgets all but the system message.
  void clear();

 private:
  explicit Conversation(const Engine& engine) : engine_(&engine) {}

  const Engine* engine_;
  std::optional<ChatTemplate> template_;
  nlohmann::ordered_json system_ = nlohmann::ordered_json::array();
  nlohmann::ordered_json messages_ = nlohmann::ordered_json::array();
};

}  // namespace quern::cli
