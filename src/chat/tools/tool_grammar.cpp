#include "chat/tools/tool_grammar.h"

#include "chat/tools/argument_grammar.h"
#include "chat/tools/call_reader.h"
#include "chat/tools/call_writer.h"
#include "grammar/internals.h"

namespace quern::tools {
namespace {

using grammar::IrBuilder;
using grammar::Symbol;
using Sequence = IrBuilder::Sequence;

constexpr size_t kMaxCalls = 32;  // of one reply

class Builder {
 public:
  Builder(const Family& family, const ToolChoice& choice) : family_(family), choice_(choice) {}

  Status add_tool(const Tool& tool) {
    const Part part = argument_part();
    auto arguments = argument_grammar(family_, part, tool, ir_);
    if (!arguments && tool.strict) {
      return fail_f(arguments.error().code, "tool '{}' is strict: {}", tool.name, arguments.error().message);
    }
    if (!arguments) {
      warnings.push_back("tool '" + tool.name +
                         "': arguments are not held to the schema: " + arguments.error().message);
      arguments = ArgumentGrammar{any_arguments(family_, part, ir_)};
    }
    for (const std::string& warning : arguments->warnings) warnings.push_back("tool '" + tool.name + "': " + warning);
    tools_.push_back({&tool, arguments->root});
    return {};
  }

  Result<Grammar> finish(const ReasoningMarks& reasoning) {
    Sequence all;
    if (choice_.required && choice_.reasoning_open) {
      all.push_back(text_without(reasoning.close, ir_));
      all.push_back(ir_.special(reasoning.close));
      all.push_back(ir_.choice({ir_.literal("\n\n"), ir_.literal("\n"), ir_.empty()}));
    }
    if (choice_.required) all.push_back(text(family_.before_first));
    all.push_back(calls());
    QUERN_TRY(auto ir, ir_.finish(ir_.sequence(all)));
    return GrammarInternals::make(std::move(ir));
  }

  std::vector<std::string> warnings;

 private:
  struct Offered {
    const Tool* tool;
    Symbol arguments;
  };

  Symbol text(std::string_view t) { return marked_text(t, family_.specials, ir_); }

  [[nodiscard]] Part argument_part() const {
    for (const Step& step : family_.call) {
      if (step.part >= Part::kObject) return step.part;
    }
    return Part::kJson;
  }

  // `one`, and where several calls are allowed more of them, `between` each two.
  Symbol several(Symbol one, std::string_view between) {
    if (!choice_.parallel || family_.single) return one;
    return ir_.sequence({one, ir_.repeat(ir_.sequence({text(between), one}), 0, kMaxCalls - 1)});
  }

  Symbol calls() {
    const bool at_once = writes_all_at_once(family_);
    Sequence all;
    for (const Step& step : family_.begin) all.push_back(text(step.text));
    all.push_back(at_once ? call_of(nullptr) : several(any_call(), family_.between));
    for (const Step& step : family_.end) all.push_back(text(step.text));
    return ir_.sequence(all);
  }

  Symbol any_call() {
    Sequence all;
    for (const Offered& offered : tools_) all.push_back(call_of(&offered));
    return ir_.choice(all);
  }

  // `offered` is null where the parts are of all tools at once.
  Symbol call_of(const Offered* offered) {
    Sequence all;
    for (const Step& step : family_.call) {
      if (step.written) all.push_back(part(step, offered));
    }
    return ir_.sequence(all);
  }

  Symbol part(const Step& step, const Offered* offered) {
    switch (step.part) {
      case Part::kText:
        return text(step.text);
      case Part::kName:
        return ir_.literal(offered->tool->name);
      case Part::kNumberedName:
        return ir_.sequence({ir_.literal("functions." + offered->tool->name + ":"), digits()});
      case Part::kId:
        return ir_.repeat(alphanumeric(), 9, 9);
      case Part::kObject:
        return object(*offered);
      case Part::kArray:
        return array();
      case Part::kPython:
        return python();
      case Part::kJson:
      case Part::kParameters:
      case Part::kBareLiteral:
        return offered->arguments;
      case Part::kSecondName:
      case Part::kSkip:
        break;
    }
    return ir_.empty();
  }

  Symbol digits() { return ir_.repeat(ir_.bytes(grammar::ByteSet::range('0', '9')), 1, 2); }
  Symbol alphanumeric() {
    return ir_.bytes(grammar::ByteSet::range('0', '9') | grammar::ByteSet::range('a', 'z') |
                     grammar::ByteSet::range('A', 'Z'));
  }

  Symbol object(const Offered& offered) {
    const JsonKeys& keys = family_.keys;
    const auto quoted = [](std::string_view t) { return "\"" + std::string(t) + "\""; };
    Sequence all = {ir_.literal("{")};
    if (keys.name_is_key) {
      all.push_back(ir_.literal(quoted(offered.tool->name) + ": "));
    } else {
      if (!keys.id.empty()) {
        all.push_back(ir_.literal(quoted(keys.id) + ": \""));
        all.push_back(digits());
        all.push_back(ir_.literal("\", "));
      }
      all.push_back(
          ir_.literal(quoted(keys.name) + ": " + quoted(offered.tool->name) + ", " + quoted(keys.arguments) + ": "));
    }
    all.push_back(offered.arguments);
    all.push_back(ir_.literal("}"));
    return ir_.sequence(all);
  }

  Symbol array() {
    Sequence each;
    for (const Offered& offered : tools_) each.push_back(object(offered));
    return ir_.sequence({ir_.literal(family_.array.begin), several(ir_.choice(each), family_.array.between),
                         ir_.literal(family_.array.end)});
  }

  Symbol python() {
    Sequence each;
    for (const Offered& offered : tools_) {
      each.push_back(ir_.sequence({ir_.literal(offered.tool->name + "("), offered.arguments, ir_.literal(")")}));
    }
    return ir_.sequence({ir_.literal("["), several(ir_.choice(each), ", "), ir_.literal("]")});
  }

  const Family& family_;
  const ToolChoice& choice_;
  IrBuilder ir_;
  std::vector<Offered> tools_;
};

// Where a call is known to begin: the opener; of bare JSON its first key.
std::vector<std::string> triggers_of(const Family& family) {
  if (family.call.front().part == Part::kObject) return {"{\"" + std::string(family.keys.name) + "\":"};
  if (family.call.front().part == Part::kArray) return {"{\"tool_calls\":"};
  return {opener_of(family)};
}

}  // namespace

Result<ToolGrammar> tool_grammar(const ToolFormat& format, const ToolSet& tools, const ToolChoice& choice) {
  if (tools.empty()) return fail(ErrorCode::kInvalidArgument, "there are no tools to call");
  Builder builder(format.family(), choice);
  if (!choice.name.empty()) {
    const Tool* tool = tools.find(choice.name);
    if (tool == nullptr) return fail_f(ErrorCode::kNotFound, "tool_choice: no tool is named '{}'", choice.name);
    QUERN_CHECK_OK(builder.add_tool(*tool));
  } else {
    for (const Tool& tool : tools.all()) QUERN_CHECK_OK(builder.add_tool(tool));
  }
  ToolGrammar out;
  QUERN_TRY(out.grammar, builder.finish(format.reasoning()));
  out.warnings = std::move(builder.warnings);
  if (!choice.required) out.triggers = triggers_of(format.family());
  return out;
}

}  // namespace quern::tools
