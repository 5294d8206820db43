// ToolChat: a conversation with a model that may call tools; quern run --tools, one prompt or a chat.
//
// The prompt is rendered with the tools, generation is held to the format in which the model writes calls, its replies
// are taken apart as they come, and toolbox::Agent does the rest. What was sampled is rendered again byte for byte, so
// that each round reads only what is new. The engine, the registry and the context must outlive it. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chat/chat_template.h"
#include "chat/tools/reply_parser.h"
#include "chat/tools/tool_format.h"
#include "chat/tools/tool_grammar.h"
#include "chat/tools/tool_set.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/tool_options.h"
#include "quern/quern.h"
#include "tools/agent.h"

namespace quern::cli {

struct ToolChatSettings {
  std::string system;
  ToolOptions tools;
  GenerateOptions generate;
  bool quiet = false;  // nothing but questions on the screen
};

struct ToolTurn {
  toolbox::AgentRun run;
  std::vector<Generation> generations;  // one a round
};

class ToolChat {
 public:
  // kUnsupported: the model has no chat template, or a tool's schema is beyond what a grammar can hold.
  static Result<std::unique_ptr<ToolChat>> create(Engine& engine, const Context& context, const ToolRegistry& tools,
                                                  const ToolChatSettings& settings);

  // Answers the prompt; text on standard output, calls beside. `editor` asks for permission; null: nobody can be asked.
  // Ctrl-C ends the tool that runs, else the answer. What fails leaves the conversation as it was.
  Result<ToolTurn> turn(const std::string& prompt, InterruptScope& interrupt, LineEditor* editor);
  // Forgets all but the system message.
  void clear();

 private:
  ToolChat(Engine& engine, const Context& context, const ToolRegistry& tools, const ToolChatSettings& settings)
      : engine_(engine), context_(context), tools_(tools), settings_(settings) {}

  Status prepare();
  toolbox::AgentCallbacks callbacks();
  Result<toolbox::AgentReply> generate(const toolbox::Json& messages, size_t round);
  Result<std::vector<int32_t>> prompt_of(const toolbox::Json& messages, bool* reasoning_open) const;
  Result<const tools::ToolGrammar*> grammar(const std::string& choice, bool reasoning_open);
  void show(const std::vector<tools::Delta>& deltas);

  Engine& engine_;
  const Context& context_;
  const ToolRegistry& tools_;
  const ToolChatSettings settings_;
  std::optional<ChatTemplate> template_;
  tools::ToolFormat format_;
  std::shared_ptr<const tools::ToolSet> set_;
  toolbox::Json definitions_;
  std::map<std::pair<std::string, bool>, tools::ToolGrammar> grammars_;  // as grammar() is asked for them
  std::unique_ptr<toolbox::Agent> agent_;

  toolbox::Json messages_ = toolbox::Json::array();
  std::vector<ToolCall> sampled_;  // all calls in messages_
  // Of the turn that runs.
  InterruptScope* interrupt_ = nullptr;
  LineEditor* editor_ = nullptr;
  std::vector<Generation> generations_;
  bool line_open_ = false;  // standard output is within a line
};

}  // namespace quern::cli
