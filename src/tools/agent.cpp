#include "tools/agent.h"

#include <utility>

namespace quern::toolbox {

std::string_view fate_name(CallFate fate) {
  constexpr std::string_view kNames[] = {"ran", "rejected", "refused", "skipped"};
  return kNames[static_cast<size_t>(fate)];
}

std::string_view end_name(AgentEnd end) {
  constexpr std::string_view kNames[] = {"answer", "rounds_used_up", "stopped"};
  return kNames[static_cast<size_t>(end)];
}

bool Agent::may_run(const ToolCallPlan& plan) {
  if (!plan.tool().confirm || allowed_.contains(plan.tool().name)) return true;
  const Permission permission = callbacks_.ask ? callbacks_.ask(plan) : Permission::kNo;
  if (permission == Permission::kAlways) allow(plan.tool().name);
  return permission != Permission::kNo;
}

CallRecord run_call(const ToolCallPlan& plan, const std::function<bool()>& cancelled) {
  CallRecord record{.call = {.id = {}, .name = plan.tool().name, .arguments = plan.arguments()},
                    .shown = plan.shown(),
                    .output = plan.run(cancelled)};
  if (record.output.cancelled) record.output.text = "The user stopped this call: " + record.output.text;
  return record;
}

CallRecord Agent::carry_out(const AgentCall& call, bool too_many) {
  CallRecord record{.call = call, .shown = {}, .fate = CallFate::kSkipped, .output = {}};
  if (too_many) {
    record.output.text = fmt::format("Not run: a reply has at most {} calls.", kMaxCallsPerRound);
  } else if (const auto plan = tools_.prepare(call.name, call.arguments)) {
    if (may_run(*plan)) {
      callbacks_.on_call(*plan);
      record = run_call(*plan, callbacks_.cancelled);
      record.call = call;
    } else {
      record.shown = plan->shown();
      record.fate = CallFate::kRefused;
      record.output.text = "The user did not allow this call.";
    }
  } else {
    record.fate = CallFate::kRejected;
    record.output.text = plan.error().message;
  }
  callbacks_.on_result(record);
  return record;
}

Result<AgentRun> Agent::run(Json& messages, size_t max_rounds) {
  AgentRun run;
  for (size_t round = 0; round < max_rounds; ++round) {
    QUERN_TRY(AgentReply reply, callbacks_.generate(messages, round));
    const bool last = reply.calls.empty() || reply.stopped;
    run.rounds.push_back({std::move(reply), {}});
    AgentRound& now = run.rounds.back();
    if (last) {
      // Calls that nobody answers would stand in the conversation for ever: of a stopped reply only the text stays.
      messages.push_back(now.reply.calls.empty() ? now.reply.message
                                                 : Json{{"role", "assistant"}, {"content", now.reply.content}});
      run.end = now.reply.stopped ? AgentEnd::kStopped : AgentEnd::kAnswer;
      return run;
    }
    messages.push_back(now.reply.message);
    for (const AgentCall& call : now.reply.calls) {
      now.calls.push_back(carry_out(call, now.calls.size() >= kMaxCallsPerRound));
      messages.push_back({{"role", "tool"},
                          {"tool_call_id", call.id},
                          {"name", call.name},
                          {"content", callbacks_.disarm(now.calls.back().output.text)}});
    }
  }
  run.end = AgentEnd::kRoundsUsedUp;
  return run;
}

std::optional<ToolCallPlan> direct_call(const ToolRegistry& tools, std::string_view prompt) {
  const size_t begin = prompt.find_first_not_of(" \t\r\n"), end = prompt.find_last_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return std::nullopt;
  const auto info = tools.find(prompt.substr(begin, end - begin + 1));
  if (!info || !info->takes_no_arguments) return std::nullopt;
  auto plan = tools.prepare(info->name, "{}");
  if (!plan) return std::nullopt;
  return std::move(*plan);
}

}  // namespace quern::toolbox
