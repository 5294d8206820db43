// Agent: a model with tools, until it answers. A round is one reply of the model and the calls in it; each call is
// checked, allowed by somebody, run, and its output goes back as a `tool` message.
//
// The model, the person and the screen are callbacks, so that the loop is tested without any of them. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "quern/tool_registry.h"

namespace quern::toolbox {

using Json = nlohmann::ordered_json;

inline constexpr size_t kMaxCallsPerRound = 16;

struct AgentCall {
  std::string id, name, arguments;  // arguments: JSON
};

struct AgentReply {
  Json message;  // the assistant's, as the next round's template gets it
  std::string content;
  std::vector<AgentCall> calls;
  std::vector<std::string> problems;  // of text that looked like a call
  bool stopped = false;               // by whoever watches: nothing in it is run
};

enum class Permission : uint8_t { kNo, kYes, kAlways };

enum class CallFate : uint8_t {
  kRan,
  kRejected,  // no such tool, or wrong arguments
  kRefused,   // not allowed
  kSkipped,   // too many in one reply
};
std::string_view fate_name(CallFate fate);

struct CallRecord {
  AgentCall call;
  std::string shown;  // ToolCallPlan::shown(), where it came to that
  CallFate fate = CallFate::kRan;
  ToolOutput output;  // its text is what the model is told, whatever the fate
};

struct AgentRound {
  AgentReply reply;
  std::vector<CallRecord> calls;
};

enum class AgentEnd : uint8_t { kAnswer, kRoundsUsedUp, kStopped };
std::string_view end_name(AgentEnd end);

struct AgentRun {
  std::vector<AgentRound> rounds;
  AgentEnd end = AgentEnd::kAnswer;
};

struct AgentCallbacks {
  // The model's reply to the messages; the number of the round, from 0.
  std::function<Result<AgentReply>(const Json& messages, size_t round)> generate;
  // Whether this call may run. Unset: it may not. Not asked for tools that are allowed.
  std::function<Permission(const ToolCallPlan& plan)> ask;
  std::function<void(const ToolCallPlan& plan)> on_call = [](const ToolCallPlan&) {};  // it begins to run
  std::function<void(const CallRecord& record)> on_result = [](const CallRecord&) {};  // of every fate
  std::function<bool()> cancelled = [] { return false; };                              // ends the tool that runs
  // Changes a tool's output so that the model's tokenizer reads nothing in it as a control token.
  std::function<std::string(std::string text)> disarm = [](std::string text) { return text; };
};

// What a prompt that is exactly the name of a tool without required arguments asks for, which takes no model.
std::optional<ToolCallPlan> direct_call(const ToolRegistry& tools, std::string_view prompt);
// Runs a call that somebody allowed. kRan.
CallRecord run_call(const ToolCallPlan& plan, const std::function<bool()>& cancelled);

class Agent {
 public:
  // The registry must outlive it.
  Agent(const ToolRegistry& tools, AgentCallbacks callbacks) : tools_(tools), callbacks_(std::move(callbacks)) {}

  void allow(std::string name) { allowed_.insert(std::move(name)); }

  // Appends replies and outputs to `messages`. Fails as `generate` does; what was run until then is in `messages`.
  Result<AgentRun> run(Json& messages, size_t max_rounds);

 private:
  CallRecord carry_out(const AgentCall& call, bool too_many);
  bool may_run(const ToolCallPlan& plan);

  const ToolRegistry& tools_;
  AgentCallbacks callbacks_;
  std::set<std::string> allowed_;
};

}  // namespace quern::toolbox
