#include "cli/tool_chat.h"

#include <cstdio>

#include "chat/render_chat.h"
#include "chat/tools/tool_prompt.h"
#include "cli/conversation.h"
#include "cli/disarm.h"
#include "cli/tool_display.h"

namespace quern::cli {

namespace {

using toolbox::Json;

Json message(const char* role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

// The assistant's message as the template gets it in the next round.
Json reply_message(const ParsedReply& reply) {
  Json made = message("assistant", reply.content);
  if (!reply.reasoning.empty()) made["reasoning_content"] = reply.reasoning;
  if (reply.calls.empty()) return made;
  Json calls = Json::array();
  for (const ToolCall& call : reply.calls) {
    calls.push_back(
        {{"id", call.id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  made["tool_calls"] = std::move(calls);
  return made;
}

}  // namespace

Result<std::unique_ptr<ToolChat>> ToolChat::create(Engine& engine, const Context& context, const ToolRegistry& tools,
                                                   const ToolChatSettings& settings) {
  std::unique_ptr<ToolChat> chat(new ToolChat(engine, context, tools, settings));
  QUERN_CHECK_OK(chat->prepare());
  return chat;
}

Status ToolChat::prepare() {
  if (engine_.chat_template().empty()) {
    return fail(ErrorCode::kUnsupported, "the model has no chat template: --tools needs one");
  }
  QUERN_TRY(template_, ChatTemplate::parse(engine_.chat_template()));
  format_ = tools::ToolFormat::of(engine_.chat_template(), *template_);
  definitions_ = Json::parse(tools_.definitions());  // our own text
  QUERN_TRY(tools::ToolSet set, tools::ToolSet::read(definitions_));
  set_ = std::make_shared<const tools::ToolSet>(std::move(set));
  // Now, so that a schema that cannot be held is told before anything is generated.
  QUERN_TRY([[maybe_unused]] const auto* automatic, grammar("auto", false));
  QUERN_TRY([[maybe_unused]] const auto* chosen, grammar(settings_.tools.choice, false));
  agent_ = std::make_unique<toolbox::Agent>(tools_, callbacks());
  for (const std::string& name : settings_.tools.yes) agent_->allow(name);
  clear();
  return {};
}

void ToolChat::clear() {
  messages_ = Json::array();
  sampled_.clear();
  if (!settings_.system.empty()) messages_.push_back(message("system", settings_.system));
}

toolbox::AgentCallbacks ToolChat::callbacks() {
  toolbox::AgentCallbacks c;
  c.generate = [this](const Json& messages, size_t round) { return generate(messages, round); };
  c.ask = [this](const ToolCallPlan& plan) {
    if (editor_ != nullptr) return ask_user(*editor_, plan);
    context_.note(fmt::format("{} is not allowed: nobody can be asked here; --yes-tool {} allows it", plan.shown(),
                              plan.tool().name));
    return toolbox::Permission::kNo;
  };
  c.on_call = [this](const ToolCallPlan& plan) {
    if (!settings_.quiet) say(fmt::format("[{} ...]\n", plan.shown()));
  };
  c.on_result = [this](const toolbox::CallRecord& record) {
    if (!settings_.quiet) say(result_text(record));
    if (record.output.cancelled) interrupt_->clear();  // it ended the tool, the next one ends the answer
  };
  c.cancelled = InterruptScope::interrupted;
  c.disarm = [this](std::string text) { return disarm(engine_, std::move(text)); };
  return c;
}

Result<const tools::ToolGrammar*> ToolChat::grammar(const std::string& choice, bool reasoning_open) {
  const auto key = std::pair(choice, reasoning_open);
  if (const auto known = grammars_.find(key); known != grammars_.end()) return &known->second;
  const bool automatic = choice == "auto";
  QUERN_TRY(auto made, tools::tool_grammar(format_, *set_,
                                           {.required = !automatic,
                                            .name = automatic || choice == "required" ? "" : choice,
                                            .parallel = false,  // small models do not stop by themselves
                                            .reasoning_open = reasoning_open}));
  for (const std::string& warning : made.warnings) {
    if (grammars_.empty()) context_.note(warning);
  }
  return &grammars_.emplace(key, std::move(made)).first->second;
}

Result<std::vector<int32_t>> ToolChat::prompt_of(const Json& messages, bool* reasoning_open) const {
  ChatRequest request{.messages = messages,
                      .tools = definitions_,
                      .bos_token = std::string(engine_.bos_text()),
                      .eos_token = std::string(engine_.eos_text())};
  QUERN_CHECK_OK(tools::prepare_tools(format_, /*offered=*/true, request));
  QUERN_TRY(const std::string rendered, render_chat(*template_, request));
  *reasoning_open = format_.opens_reasoning(rendered);
  return rendered_ids(engine_, tools::restore_calls(format_, *set_, rendered, sampled_));
}

void ToolChat::show(const std::vector<tools::Delta>& deltas) {
  if (settings_.quiet) return;
  for (const tools::Delta& delta : deltas) {
    if (delta.kind == tools::Delta::Kind::kReasoning) say(delta.text);
    if (delta.kind != tools::Delta::Kind::kContent || delta.text.empty()) continue;
    context_.print(delta.text);
    std::fflush(stdout);
    line_open_ = delta.text.back() != '\n';
  }
}

Result<toolbox::AgentReply> ToolChat::generate(const Json& messages, size_t round) {
  bool reasoning_open = false;
  QUERN_TRY(const std::vector<int32_t> ids, prompt_of(messages, &reasoning_open));
  QUERN_TRY(const tools::ToolGrammar* held, grammar(round == 0 ? settings_.tools.choice : "auto", reasoning_open));
  GenerateOptions options = settings_.generate;
  options.grammar = held->grammar;
  options.grammar_triggers = held->triggers;
  options.render_special = true;  // markers of calls are special tokens in many models
  options.cancelled = InterruptScope::interrupted;
  tools::ReplyParser parser(format_, set_, {.reasoning_open = reasoning_open, .id_seed = messages.size()});
  QUERN_TRY(Generation generation, engine_.generate(ids, options, [&](const TokenEvent& event) {
    show(parser.feed(event.text));
    return true;
  }));
  std::vector<tools::Delta> rest;
  const ParsedReply parsed = parser.finish(&rest);
  show(rest);
  if (line_open_) context_.print("\n");
  std::fflush(stdout);
  line_open_ = false;

  toolbox::AgentReply reply{.message = reply_message(parsed),
                            .content = parsed.content,
                            .calls = {},
                            .problems = parsed.problems,
                            .stopped = generation.completions[0].reason == StopReason::kCancelled};
  for (const ToolCall& call : parsed.calls) reply.calls.push_back({call.id, call.name, call.arguments});
  if (!reply.stopped) sampled_.insert(sampled_.end(), parsed.calls.begin(), parsed.calls.end());
  for (const std::string& problem : parsed.problems) {
    if (!settings_.quiet) context_.note("what looked like a call is none: " + problem);
  }
  generations_.push_back(std::move(generation));
  return reply;
}

Result<ToolTurn> ToolChat::turn(const std::string& prompt, InterruptScope& interrupt, LineEditor* editor) {
  interrupt_ = &interrupt;
  editor_ = editor;
  generations_.clear();
  Json messages = messages_;
  const size_t sampled = sampled_.size();
  messages.push_back(message("user", prompt));
  auto run = agent_->run(messages, settings_.tools.max_rounds);
  if (!run) {
    sampled_.resize(sampled);
    return tl::unexpected<Error>(std::move(run).error());
  }
  messages_ = std::move(messages);
  return ToolTurn{std::move(*run), std::move(generations_)};
}

}  // namespace quern::cli
