#include "tools/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern::toolbox {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kTools = R"(tools:
  now: {builtin: clock, confirm: never}
  sum: {builtin: calculator}
  say: {description: d, arguments: {text: {type: string, optional: true}}, command: [echo, "{text}"]}
)";

AgentReply calling(std::vector<AgentCall> calls) {
  return {
      .message = {{"role", "assistant"}, {"content", ""}}, .content = {}, .calls = std::move(calls), .problems = {}};
}

AgentReply answering(const std::string& text) {
  return {.message = {{"role", "assistant"}, {"content", text}}, .content = text, .calls = {}, .problems = {}};
}

// A model that says these, one a round, and then the last one for ever.
struct Script {
  ToolRegistry tools = *ToolRegistry::parse("t.yaml", kTools);
  std::vector<AgentReply> replies;
  std::vector<std::string> asked;
  Permission permission = Permission::kNo;
  Json messages = Json::array({{{"role", "user"}, {"content", "go"}}});

  AgentCallbacks callbacks() {
    AgentCallbacks c;
    c.generate = [this](const Json&, size_t round) -> Result<AgentReply> {
      return replies[std::min(round, replies.size() - 1)];
    };
    c.ask = [this](const ToolCallPlan& plan) {
      asked.push_back(plan.shown());
      return permission;
    };
    return c;
  }
  AgentRun run(size_t rounds = 8) { return *Agent(tools, callbacks()).run(messages, rounds); }
};

const AgentCall kSum{.id = "1", .name = "sum", .arguments = R"({"expression": "1+1"})"};

TEST(Agent, RunsWhatIsAllowedAndHandsTheOutputBack) {
  Script script{.replies = {calling({kSum}), answering("two")}, .permission = Permission::kYes};
  const AgentRun run = script.run();
  EXPECT_EQ(run.end, AgentEnd::kAnswer);
  ASSERT_EQ(run.rounds.size(), 2u);
  EXPECT_EQ(run.rounds[0].calls.at(0).fate, CallFate::kRan);
  EXPECT_THAT(script.asked, ElementsAre("calculator 1+1"));
  ASSERT_EQ(script.messages.size(), 4u);
  EXPECT_EQ(script.messages[2], Json({{"role", "tool"}, {"tool_call_id", "1"}, {"name", "sum"}, {"content", "2"}}));
  EXPECT_EQ(script.messages[3]["content"], "two");
}

TEST(Agent, TellsTheModelWhatWasNotRun) {
  Script script{.replies = {calling({kSum,
                                     {.id = "2", .name = "sun", .arguments = "{}"},
                                     {.id = "3", .name = "sum", .arguments = R"({"expression": 5})"},
                                     {.id = "4", .name = "now", .arguments = ""}}),
                            answering("well")}};
  const AgentRun run = script.run();
  const auto& calls = run.rounds[0].calls;
  EXPECT_EQ(calls[0].fate, CallFate::kRefused);
  EXPECT_EQ(calls[1].fate, CallFate::kRejected);
  EXPECT_EQ(calls[2].fate, CallFate::kRejected);
  EXPECT_EQ(calls[3].fate, CallFate::kRan);  // allowed by the file
  EXPECT_EQ(script.messages[2]["content"], "The user did not allow this call.");
  EXPECT_EQ(script.messages[3]["content"], "there is no tool sun: did you mean sum?");
  EXPECT_EQ(script.messages[4]["content"], "sum: expression wants string, not a whole number");
  EXPECT_THAT(script.asked, ElementsAre("calculator 1+1"));  // never for what cannot run
}

TEST(Agent, RefusesWhereNobodyCanBeAsked) {
  Script script{.replies = {calling({kSum}), answering("")}};
  AgentCallbacks callbacks = script.callbacks();
  callbacks.ask = nullptr;
  const AgentRun run = *Agent(script.tools, callbacks).run(script.messages, 8);
  EXPECT_EQ(run.rounds[0].calls[0].fate, CallFate::kRefused);
  Agent allowed(script.tools, callbacks);
  allowed.allow("sum");
  EXPECT_EQ(allowed.run(script.messages, 8)->rounds[0].calls[0].fate, CallFate::kRan);
}

TEST(Agent, AlwaysIsAskedOnce) {
  Script script{.replies = {calling({kSum, kSum}), calling({kSum}), answering("")}, .permission = Permission::kAlways};
  EXPECT_EQ(script.run().rounds.size(), 3u);
  EXPECT_EQ(script.asked.size(), 1u);
  script.permission = Permission::kYes;
  script.asked.clear();
  script.run();
  EXPECT_EQ(script.asked.size(), 3u);
}

TEST(Agent, EndsWhenTheRoundsAreUsedUp) {
  Script script{.replies = {calling({kSum})}, .permission = Permission::kYes};
  const AgentRun run = script.run(3);
  EXPECT_EQ(run.end, AgentEnd::kRoundsUsedUp);
  EXPECT_EQ(run.rounds.size(), 3u);
  EXPECT_EQ(script.messages.size(), 7u);
}

TEST(Agent, RunsNothingOfAStoppedReply) {
  AgentReply stopped = calling({kSum});
  stopped.stopped = true;
  stopped.content = "I will";
  Script script{.replies = {stopped}, .permission = Permission::kYes};
  const AgentRun run = script.run();
  EXPECT_EQ(run.end, AgentEnd::kStopped);
  EXPECT_TRUE(script.asked.empty());
  EXPECT_EQ(script.messages.back(), Json({{"role", "assistant"}, {"content", "I will"}}));
}

TEST(Agent, BoundsTheCallsOfAReply) {
  Script script{.replies = {calling(std::vector<AgentCall>(20, kSum)), answering("")}, .permission = Permission::kYes};
  const AgentRun run = script.run();
  EXPECT_EQ(run.rounds[0].calls[15].fate, CallFate::kRan);
  EXPECT_EQ(run.rounds[0].calls[16].fate, CallFate::kSkipped);
  EXPECT_THAT(script.messages[18]["content"].get<std::string>(), HasSubstr("at most 16 calls"));
}

TEST(Agent, StopsAToolAndGoesOn) {
  Script script{.replies = {calling({{.id = "1", .name = "say", .arguments = "{}"}}), answering("stopped")},
                .permission = Permission::kYes};
  AgentCallbacks callbacks = script.callbacks();
  callbacks.cancelled = [] { return true; };
  callbacks.disarm = [](const std::string& text) { return "<" + text + ">"; };
  const AgentRun run = *Agent(script.tools, callbacks).run(script.messages, 8);
  EXPECT_TRUE(run.rounds[0].calls[0].output.cancelled);
  EXPECT_EQ(script.messages[2]["content"], "<The user stopped this call: stopped on request>");
  EXPECT_EQ(run.end, AgentEnd::kAnswer);
}

TEST(Agent, TakesTheDirectPathForExactNamesOnly) {
  Script script;
  EXPECT_EQ(direct_call(script.tools, "now")->shown(), "clock");
  EXPECT_EQ(direct_call(script.tools, " say\n")->shown(), "echo");
  for (const char* prompt : {"", "Now", "now?", "sum", "what is now", "now now", "\n"}) {
    EXPECT_FALSE(direct_call(script.tools, prompt)) << prompt;
  }
}

}  // namespace
}  // namespace quern::toolbox
