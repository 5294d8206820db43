// quern run: an answer to a prompt, or a chat.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/answer.h"
#include "cli/chat_loop.h"
#include "cli/commands.h"
#include "cli/conversation.h"
#include "cli/engine_options.h"
#include "cli/interrupt.h"
#include "cli/profile_text.h"
#include "cli/read_input.h"
#include "cli/sampling_fields.h"
#include "cli/tool_chat.h"
#include "cli/tool_display.h"
#include "cli/tool_options.h"
#include "os/terminal.h"

namespace quern::cli {

namespace {

struct RunOptions {
  ModelOptions model;
  std::optional<std::string> prompt;
  std::vector<int> prompt_ids;
  bool raw = false;
  std::string system;
  uint32_t max_tokens = 1024;
  SamplingOptions sampling;
  SamplingTexts texts;
  std::vector<std::string> stop;
  uint32_t samples = 1;
  bool ignore_eos = false;
  bool json = false;
  ToolOptions tools;

  std::vector<Field> fields() {
    std::vector<Field> list;
    model.add_model(list);
    list.push_back(
        {"PROMPT", &prompt, "What to answer; without it a chat, or all of standard input where that is a pipe"});
    list.push_back({"--raw", &raw, "Continue the text as it is, without the model's chat template"});
    list.push_back({"--prompt-ids", &prompt_ids, "Token ids as the prompt, exactly these", {.min = 0}});
    list.push_back({"--system", &system, "A message that says how to answer, before all others"});
    list.push_back({"-n,--max-tokens", &max_tokens, "Most tokens of an answer", {.min = 1, .max = 1 << 28}});
    add_sampling_fields(sampling, texts, list);
    list.push_back({"--stop", &stop, "Text that ends the answer and is not part of it; may be given several times"});
    list.push_back(
        {"--samples", &samples, "Answers to the same prompt, each with its own draws", {.min = 1, .max = 1024}});
    list.push_back({"--ignore-eos", &ignore_eos, "Go on after the model's end token"});
    list.push_back({"--json", &json, "Print one JSON object: text, ids, stats; samples and logprobs when asked for"});
    tools.add(list);
    model.add_context(list);
    model.add_machine(list);
    model.add_profile(list);
    return list;
  }

  [[nodiscard]] GenerateOptions generate_options() const {
    return {.max_tokens = max_tokens, .n = samples, .sampling = sampling, .stop = stop, .ignore_eos = ignore_eos};
  }
};

constexpr std::string_view kExamples =
    "  quern run default                                 (a chat; /help lists its commands)\n"
    "  quern run default \"Why is the sky blue?\"\n"
    "  quern run default --raw --temp 0 -n 32 \"Once upon a time\"\n"
    "  cat letter.txt | quern run default --system \"Sum up the letter in one sentence.\"\n"
    "  quern run default --prompt-ids 1,2,3 --json\n"
    "  quern run default --profile \"Why is the sky blue?\"\n"
    "  quern run default --tools examples/tools.yaml \"What is 12.5 % of 1840?\"\n"
    "  quern run default --tools examples/tools.yaml --yes-tool disk_free \"How full is my disk?\"\n"
    "  quern run default --tools examples/tools.yaml now      (a tool's name alone: no model is needed)\n"
    "\nFigures go to standard error. QUERN_ISA names the instruction set where --isa does not.\n";

// What contradicts itself or would have no effect.
std::optional<std::string_view> misuse(const RunOptions& o, bool chat) {
  if (o.prompt && !o.prompt_ids.empty()) return "give either PROMPT or --prompt-ids";
  if (!o.system.empty() && o.raw) return "--system has no place in a --raw text";
  if (!o.system.empty() && !o.prompt_ids.empty()) return "--system has no place in --prompt-ids";
  if (chat && o.json) return "--json wants a prompt";
  if (chat && o.samples > 1) return "--samples wants a prompt";
  if (chat && !o.model.profile.empty()) return "--profile wants a prompt";
  if (!o.tools.given() && !o.tools.yes.empty()) return "--yes-tool wants --tools";
  if (o.tools.given() && (o.raw || !o.prompt_ids.empty())) return "--tools wants a prompt for the chat template";
  if (o.tools.given() && o.samples > 1) return "--tools has no place beside --samples";
  if (o.tools.given() && o.sampling.logprobs >= 0) return "--logprobs have no place beside --tools";
  if (o.tools.given() && !o.model.profile.empty()) return "--profile has no place beside --tools";
  if (o.sampling.logprobs >= 0 && !o.json) return "--logprobs are printed by --json only";
  return std::nullopt;
}

// The prompt as text: the argument, or standard input less the line end that echo and editors add.
Result<std::string> prompt_text(const RunOptions& options) {
  if (options.prompt) return *options.prompt;
  QUERN_TRY(std::string text, read_input("-"));
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

// To standard error, or into the object of --json.
Status show_profile(Engine& engine, const RunOptions& options, nlohmann::json& json) {
  const EngineInfo& info = engine.info();
  QUERN_TRY(const MachineLimits prompt, machine_limits(info.isa, info.n_threads_batch));
  QUERN_TRY(const MachineLimits decode, machine_limits(info.isa, info.n_threads));
  const bool layers = options.model.profile == "layers";
  const Profile profile = engine.take_profile();
  if (options.json) {
    json["profile"] = profile_json(profile, prompt, decode, layers);
  } else {
    fmt::print(stderr, "{}", profile_text(profile, prompt, decode, layers));
  }
  return {};
}

Result<int> answer_once(Engine& engine, const Context& context, const RunOptions& options) {
  std::vector<int32_t> ids = options.prompt_ids;
  if (ids.empty()) {
    QUERN_TRY(const auto conversation, Conversation::create(engine, options.raw, options.system));
    if (!conversation.has_template() && !options.raw) {
      context.note("the model has no chat template: it continues the text as it is (--raw says so)");
    }
    QUERN_TRY(const std::string text, prompt_text(options));
    QUERN_TRY(ids, conversation.prompt(text));
  }
  InterruptScope interrupt;
  QUERN_TRY(const Generation generation, options.json
                                             ? answer(engine, ids, options.generate_options())
                                             : answer_on_screen(engine, context, ids, options.generate_options()));
  nlohmann::json json;
  if (options.json) {
    json = to_json(engine, generation);
  } else {
    const EngineInfo& info = engine.info();
    fmt::print(stderr, "\n{}; loaded in {:.2f} s, weights {}\n", figures_line(engine, generation), info.load_seconds,
               info.weights);
  }
  if (!options.model.profile.empty()) QUERN_CHECK_OK(show_profile(engine, options, json));
  if (options.json) context.print_json(json);
  return generation.completions[0].reason == StopReason::kCancelled ? kExitFailed : kExitOk;
}

// A question to the user needs a terminal that is not the prompt's own pipe.
std::unique_ptr<LineEditor> editor_for_questions() {
  return is_terminal(Stream::kIn) ? std::make_unique<LineEditor>("") : nullptr;
}

// What a call did as the program's exit code.
int code_of(const toolbox::CallRecord& record) {
  return record.output.ok ? kExitOk : kExitFailed;
}

// Nothing where the prompt is not a tool's name alone.
std::optional<int> answer_directly(const Context& context, const RunOptions& options, const ToolRegistry& tools,
                                   const std::string& prompt) {
  const auto plan = toolbox::direct_call(tools, prompt);
  if (!plan) return std::nullopt;
  // The name on the command line is the user's own word; a text from a pipe is anybody's.
  const auto& yes = options.tools.yes;
  const bool allowed =
      options.prompt || !plan->tool().confirm || std::find(yes.begin(), yes.end(), plan->tool().name) != yes.end();
  if (!allowed) {
    context.note(fmt::format("{} is not allowed: nobody can be asked here; --yes-tool {} allows it", plan->shown(),
                             plan->tool().name));
    return kExitFailed;
  }
  InterruptScope interrupt;
  if (!options.json) return code_of(run_directly(context, *plan));
  const auto record = toolbox::run_call(*plan, InterruptScope::interrupted);
  context.print_json({{"text", record.output.text},
                      {"end", "answer"},
                      {"direct", true},
                      {"rounds", {{{"text", ""}, {"calls", {call_json(record)}}}}}});
  return code_of(record);
}

Result<int> answer_with_tools(Engine& engine, const Context& context, const RunOptions& options,
                              const ToolRegistry& tools, const std::string& prompt) {
  QUERN_TRY(const auto chat, ToolChat::create(engine, context, tools,
                                              {.system = options.system,
                                               .tools = options.tools,
                                               .generate = options.generate_options(),
                                               .quiet = options.json}));
  InterruptScope interrupt;
  const auto editor = editor_for_questions();
  QUERN_TRY(const ToolTurn turn, chat->turn(prompt, interrupt, editor.get()));
  if (options.json) {
    context.print_json(turn_json(engine, turn));
  } else {
    const EngineInfo& info = engine.info();
    say(fmt::format("\n{}; loaded in {:.2f} s, weights {}\n", turn_line(engine, turn), info.load_seconds,
                    info.weights));
  }
  return turn.run.end == toolbox::AgentEnd::kAnswer ? kExitOk : kExitFailed;
}

int run_with_tools(const Context& context, const RunOptions& options, bool chat) {
  const auto tools = load_tools(options.tools);
  if (!tools) return context.failed(tools.error());
  std::string prompt;
  if (!chat) {
    auto text = prompt_text(options);
    if (!text) return context.failed(text.error());
    prompt = std::move(*text);
    if (const auto code = answer_directly(context, options, *tools, prompt)) return *code;
  }
  const auto engine = load_engine(options.model);
  if (!engine) return context.failed(engine.error());
  const auto code = chat ? chat_loop(**engine, context,
                                     {.system = options.system,
                                      .generate = options.generate_options(),
                                      .tools = &*tools,
                                      .tool_options = options.tools})
                         : answer_with_tools(**engine, context, options, *tools, prompt);
  return code ? *code : context.failed(code.error());
}

}  // namespace

int run_command(Context& context) {
  RunOptions options;
  if (auto code = context.parse(options, kExamples)) return *code;
  const bool chat = !options.prompt && options.prompt_ids.empty() && is_terminal(Stream::kIn);
  if (const auto wrong = misuse(options, chat)) return context.usage_error(*wrong);
  if (auto status = apply_texts(options.texts, options.sampling); !status) {
    return context.usage_error(status.error().message);
  }
  if (options.tools.given()) return run_with_tools(context, options, chat);
  const auto engine = load_engine(options.model, options.samples);
  if (!engine) return context.failed(engine.error());
  const auto code =
      chat ? chat_loop(**engine, context,
                       {.raw = options.raw, .system = options.system, .generate = options.generate_options()})
           : answer_once(**engine, context, options);
  return code ? *code : context.failed(code.error());
}

}  // namespace quern::cli
