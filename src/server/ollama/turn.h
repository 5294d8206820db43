// The prompts of /api/generate: one turn of a conversation by the model's own template. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/body.h"
#include "server/models.h"

namespace quern::server::ollama {

struct Turn {
  std::string prompt;
  std::optional<std::string> system;
  std::vector<int32_t> context;  // an earlier answer's: its prompt and its text
  bool raw = false;              // the prompt is the text itself
  Json variables = nullptr;      // more of the template's
};

struct TurnPrompt {
  std::vector<int32_t> ids;
  std::string text;              // behind the context
  bool system_left_out = false;  // the template has no place for it after the first turn
};

// A context goes on by the text that the template puts between an answer and the next one, so that the conversation
// reads as /api/chat would render it. A model without a template gets the prompt as it is. kInvalidArgument where the
// context has ids that the model has not, kUnsupported where it cannot take `system`; else as chat_text().
Result<TurnPrompt> turn_prompt(const Model& model, const Turn& turn);

}  // namespace quern::server::ollama
