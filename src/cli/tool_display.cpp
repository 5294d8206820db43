#include "cli/tool_display.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/answer.h"
#include "cli/interrupt.h"
#include "os/terminal.h"
#include "tools/text.h"

namespace quern::cli {

namespace {

constexpr size_t kShownLines = 10;
constexpr size_t kShownBytes = 1000;

// The beginning of an output, indented.
std::string first_lines(const std::string& output) {
  std::string text;
  std::string_view rest = std::string_view(output).substr(0, kShownBytes);
  while (rest.size() > 0 && output.size() > kShownBytes && (static_cast<unsigned char>(rest.back()) & 0xC0) == 0x80) {
    rest.remove_suffix(1);  // no half of a character
  }
  size_t lines = 0;
  for (; !rest.empty() && lines < kShownLines; ++lines) {
    const size_t end = rest.find('\n');
    text += fmt::format("  {}\n", toolbox::printable_lines(rest.substr(0, end)));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  if (!rest.empty() || output.size() > kShownBytes) text += fmt::format("  ... ({} bytes)\n", output.size());
  return text;
}

}  // namespace

toolbox::Permission ask_user(LineEditor& editor, const ToolCallPlan& plan) {
  std::string line;
  const auto outcome = editor.read(fmt::format("Run {}? [y/N/a(lways)] ", plan.shown()), line);
  if (outcome != LineEditor::Outcome::kLine) return toolbox::Permission::kNo;
  if (line == "y" || line == "Y" || line == "yes") return toolbox::Permission::kYes;
  return line == "a" || line == "A" || line == "always" ? toolbox::Permission::kAlways : toolbox::Permission::kNo;
}

std::string outcome_text(const toolbox::CallRecord& record) {
  const ToolOutput& output = record.output;
  if (record.fate != toolbox::CallFate::kRan) return std::string(fate_name(record.fate));
  std::string text = output.timed_out     ? "timed out"
                     : output.cancelled   ? "stopped"
                     : output.exit_code   ? fmt::format("exit code {}", *output.exit_code)
                     : output.http_status ? fmt::format("HTTP status {}", *output.http_status)
                     : output.ok          ? "done"
                                          : "failed";
  text += fmt::format(", {:.2f} s", output.seconds);
  return output.cut ? text + ", output cut" : text;
}

std::string result_text(const toolbox::CallRecord& record) {
  const std::string what = record.shown.empty() ? toolbox::printable_lines(record.call.name) : record.shown;
  return fmt::format("[{}: {}]\n{}", what, outcome_text(record), first_lines(record.output.text));
}

nlohmann::json call_json(const toolbox::CallRecord& record) {
  const ToolOutput& output = record.output;
  const auto arguments = nlohmann::json::parse(record.call.arguments, nullptr, false);
  nlohmann::json json = {{"id", record.call.id},
                         {"name", record.call.name},
                         {"arguments", arguments.is_discarded() ? nlohmann::json(record.call.arguments) : arguments},
                         {"runs", record.shown},
                         {"fate", fate_name(record.fate)},
                         {"ok", output.ok},
                         {"output", output.text},
                         {"seconds", output.seconds},
                         {"cut", output.cut},
                         {"timed_out", output.timed_out},
                         {"cancelled", output.cancelled}};
  if (output.exit_code) json["exit_code"] = *output.exit_code;
  if (output.http_status) json["http_status"] = *output.http_status;
  return json;
}

std::string turn_line(const Engine& engine, const ToolTurn& turn) {
  size_t calls = 0;
  double seconds = 0;
  for (const toolbox::AgentRound& round : turn.run.rounds) {
    calls += round.calls.size();
    for (const toolbox::CallRecord& record : round.calls) seconds += record.output.seconds;
  }
  std::string line =
      fmt::format("{} {}, {} {} in {:.2f} s", turn.run.rounds.size(), turn.run.rounds.size() == 1 ? "round" : "rounds",
                  calls, calls == 1 ? "call" : "calls", seconds);
  if (turn.run.end == toolbox::AgentEnd::kRoundsUsedUp) {
    line += "; the rounds are used up before there was an answer (--max-rounds)";
  }
  return turn.generations.empty() ? line : line + "; " + figures_line(engine, turn.generations.back());
}

nlohmann::json turn_json(const Engine& engine, const ToolTurn& turn) {
  auto rounds = nlohmann::json::array();
  for (size_t i = 0; i < turn.run.rounds.size(); ++i) {
    const toolbox::AgentRound& round = turn.run.rounds[i];
    auto calls = nlohmann::json::array();
    for (const toolbox::CallRecord& record : round.calls) calls.push_back(call_json(record));
    rounds.push_back({{"text", round.reply.content},
                      {"calls", std::move(calls)},
                      {"problems", round.reply.problems},
                      {"stats", to_json(engine, turn.generations[i])["stats"]}});
  }
  const bool answered = !turn.run.rounds.empty() && turn.run.end != toolbox::AgentEnd::kRoundsUsedUp;
  return {{"text", answered ? turn.run.rounds.back().reply.content : ""},
          {"end", toolbox::end_name(turn.run.end)},
          {"direct", false},
          {"rounds", std::move(rounds)}};
}

toolbox::CallRecord run_directly(const Context& context, const ToolCallPlan& plan) {
  say(fmt::format("[{}: run without the model, since the prompt is the name of a tool]\n", plan.shown()));
  auto record = toolbox::run_call(plan, InterruptScope::interrupted);
  const std::string& text = record.output.text;
  const std::string out = is_terminal(Stream::kOut) ? toolbox::printable_lines(text) : text;
  context.print(out.empty() || out.back() == '\n' ? out : out + "\n");
  say(fmt::format("[{}]\n", outcome_text(record)));
  return record;
}

}  // namespace quern::cli
