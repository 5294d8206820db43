#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "quern/tool_registry.h"

namespace quern {
namespace {

using testing::HasSubstr;

ToolRegistry registry_of(std::string_view text) {
  auto registry = ToolRegistry::parse("t.yaml", text);
  EXPECT_TRUE(registry) << registry.error().message;
  return registry ? std::move(*registry) : ToolRegistry();
}

std::string problems(std::string_view text) {
  const auto registry = ToolRegistry::parse("t.yaml", text);
  return registry ? "" : registry.error().message;
}

std::string refusal(const ToolRegistry& registry, std::string_view name, std::string_view arguments) {
  const auto plan = registry.prepare(name, arguments);
  return plan ? "taken: " + plan->shown() : plan.error().message;
}

ToolOutput run(const ToolRegistry& registry, std::string_view name, std::string_view arguments = "{}") {
  const auto plan = registry.prepare(name, arguments);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? plan->run() : ToolOutput();
}

constexpr std::string_view kTools = R"(tools:
  today:
    builtin: clock
    confirm: never
  calculate:
    builtin: calculator
  show:
    description: Shows its arguments, one a line.
    arguments:
      text: {type: string, description: any text}
      files: {type: array, items: {type: string}, optional: true}
      depth: {type: integer, minimum: 0, maximum: 9, optional: true}
    command: [printf, "<%s>\n", "--depth={depth}", --, "{text}", "-f{files}", "{{}}"]
  count:
    description: Counts bytes.
    arguments:
      text: {type: string}
    command: [wc, -c]
    stdin: text
)";

TEST(ToolRegistry, ListsAndDefines) {
  const ToolRegistry tools = registry_of(kTools);
  const auto list = tools.list();
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[0].kind, "builtin");
  EXPECT_FALSE(list[0].confirm);
  EXPECT_TRUE(list[0].takes_no_arguments);
  EXPECT_TRUE(list[2].confirm);
  EXPECT_FALSE(list[2].takes_no_arguments);
  const auto json = nlohmann::json::parse(tools.definitions());
  EXPECT_EQ(json[2]["type"], "function");
  EXPECT_EQ(json[2]["function"]["name"], "show");
  const auto& parameters = json[2]["function"]["parameters"];
  EXPECT_EQ(parameters["required"], nlohmann::json({"text"}));
  EXPECT_EQ(parameters["additionalProperties"], false);
  EXPECT_EQ(parameters["properties"]["depth"]["maximum"], 9);
}

TEST(ToolRegistry, ArgumentsAreOneElementEach) {
  const ToolRegistry tools = registry_of(kTools);
  EXPECT_EQ(run(tools, "show", R"({"text": "a b"})").text, "<-->\n<a b>\n<{}>\n");
  EXPECT_EQ(run(tools, "show", R"({"text": "x", "files": ["p q", "r"], "depth": 3})").text,
            "<--depth=3>\n<-->\n<x>\n<-fp q>\n<-fr>\n<{}>\n");
  EXPECT_EQ(run(tools, "show", R"({"text": "x", "files": []})").text, "<-->\n<x>\n<{}>\n");
  for (const char* hostile :
       {"; rm -rf /", "$(id)", "`id`", "a\nb", "\\n", "%s%n", "'\"", "{text}", "*", "-rf", "| cat", ""}) {
    const std::string arguments = nlohmann::json{{"text", hostile}}.dump();
    EXPECT_EQ(run(tools, "show", arguments).text, fmt::format("<-->\n<{}>\n<{{}}>\n", hostile));
  }
}

TEST(ToolRegistry, ShowsExactlyWhatRuns) {
  const ToolRegistry tools = registry_of(kTools);
  const auto shown = [&](const char* text) {
    return tools.prepare("show", nlohmann::json{{"text", text}}.dump())->shown();
  };
  EXPECT_EQ(shown("plain"), R"(printf $'<%s>\n' -- plain '{}')");
  EXPECT_EQ(shown("; rm -rf /"), R"(printf $'<%s>\n' -- '; rm -rf /' '{}')");
  EXPECT_EQ(shown("it's"), R"(printf $'<%s>\n' -- 'it'\''s' '{}')");
  EXPECT_EQ(shown("a\x1b[2Jb\r"), R"(printf $'<%s>\n' -- $'a\x1b[2Jb\x0d' '{}')");
  EXPECT_EQ(shown("a\u202Eb"), R"(printf $'<%s>\n' -- $'a\u202eb' '{}')");
  EXPECT_EQ(shown("\u00e9"), "printf $'<%s>\\n' -- '\u00e9' '{}'");
  EXPECT_EQ(tools.prepare("count", R"({"text": "a\nb"})")->shown(), R"(wc -c with the input $'a\nb')");
  EXPECT_THAT(tools.prepare("count", nlohmann::json{{"text", std::string(5000, 'x')}}.dump())->shown(),
              HasSubstr("xxx... (5000 bytes)"));
}

TEST(ToolRegistry, ChecksArgumentsBeforeACall) {
  const ToolRegistry tools = registry_of(kTools);
  EXPECT_EQ(refusal(tools, "shw", "{}"), "there is no tool shw: did you mean show?");
  EXPECT_EQ(refusal(tools, "weather", "{}"), "there is no tool weather; there are today, calculate, show, count");
  EXPECT_EQ(refusal(tools, "show", "{}"), "show: text is missing");
  EXPECT_EQ(refusal(tools, "show", R"({"txt": 1, "depth": "3"})"),
            "show: text is missing; there is no argument txt, did you mean text?; depth wants integer, not a text");
  EXPECT_EQ(refusal(tools, "show", R"({"text": "x", "depth": 10})"), "show: depth is 10, at most 9 is allowed");
  EXPECT_EQ(refusal(tools, "show", R"({"text": "x", "depth": 2.5})"), "show: depth wants integer, not a number");
  EXPECT_EQ(refusal(tools, "show", R"({"text": "x", "depth": 2.0})").substr(0, 6), "taken:");
  EXPECT_EQ(refusal(tools, "show", R"({"text": "x", "files": ["a", 1]})"),
            "show: files[1] wants string, not a whole number");
  EXPECT_EQ(refusal(tools, "show", R"({"text": null})"), "show: text wants string, not null");
  EXPECT_EQ(refusal(tools, "show", "[]"), "show: the arguments must be a JSON object");
  EXPECT_EQ(refusal(tools, "show", "{"), "show: the arguments are not valid JSON");
  EXPECT_EQ(refusal(tools, "show", "{\"text\": \"\xff\"}"), "show: the arguments are not valid JSON");
  EXPECT_EQ(refusal(tools, "today", "").substr(0, 6), "taken:");
  EXPECT_THAT(refusal(tools, "show", R"({"text": "a\u0000b"})"), HasSubstr("NUL"));
  EXPECT_THAT(refusal(tools, "show", nlohmann::json{{"text", std::string(120'000, 'x')}}.dump()),
              HasSubstr("too long for a command line"));
  EXPECT_THAT(refusal(tools, "show", std::string(100, '[')), HasSubstr("nested deeper than 32"));
  EXPECT_THAT(refusal(tools, "show", std::string(300'000, ' ') + "{}"), HasSubstr("longer than"));
}

TEST(ToolRegistry, AValueIsNoOption) {
  const ToolRegistry tools = registry_of(R"(tools:
  guarded: {description: d, arguments: {file: {type: string}}, command: [printf, "<%s>", "{file}"]}
  open: {description: d, arguments: {file: {type: string}}, command: [printf, "<%s>", "{file}"], allow_options: true}
  number: {description: d, arguments: {n: {type: integer}}, command: [printf, "<%s>", "{n}"]}
)");
  EXPECT_EQ(refusal(tools, "guarded", R"({"file": "-rf"})"),
            "guarded: file must not begin with '-': the program would take it for an option");
  EXPECT_EQ(run(tools, "guarded", R"({"file": "-"})").text, "<->");
  EXPECT_EQ(run(tools, "open", R"({"file": "-rf"})").text, "<-rf>");
  EXPECT_EQ(run(tools, "number", R"({"n": -5})").text, "<-5>");
}

TEST(ToolRegistry, HoldsPatternsAndLengths) {
  const ToolRegistry tools = registry_of(R"(tools:
  get:
    description: d
    arguments:
      host: {type: string, pattern: "^[a-z]+(\\.[a-z]+)*$", minLength: 2, maxLength: 5}
      kind: {type: string, enum: [no, 1], optional: true}
    command: [echo, "{host}", "{kind}"]
)");
  EXPECT_EQ(refusal(tools, "get", R"({"host": "a.b"})"), "taken: echo a.b");
  EXPECT_EQ(refusal(tools, "get", R"({"host": "a b"})"), "get: host must match \"^[a-z]+(\\\\.[a-z]+)*$\"");
  EXPECT_EQ(refusal(tools, "get", R"({"host": "a"})"), "get: host has 1 characters, at least 2 is wanted");
  EXPECT_EQ(refusal(tools, "get", R"({"host": "abcdef"})"), "get: host has 6 characters, at most 5 is allowed");
  EXPECT_EQ(refusal(tools, "get", R"({"host": "ab", "kind": "yes"})"), "get: kind wants one of [\"no\",\"1\"]");
  EXPECT_THAT(
      problems("tools:\n  t: {description: d, command: [a, \"{x}\"], arguments: {x: {type: string, pattern: '('}}}"),
      HasSubstr("t.yaml:2:83: pattern, at byte 0: "));
}

TEST(ToolRegistry, RunsCommandsInASmallEnvironment) {
  ::setenv("QUERN_TEST_SECRET", "secret", 1);
  ::setenv("QUERN_TEST_PASSED", "passed", 1);
  const ToolRegistry tools = registry_of(R"(tools:
  env:
    description: d
    command: [sh, -c, 'echo "[$QUERN_TEST_SECRET] [$QUERN_TEST_PASSED] [$MODE]"; pwd; test -n "$PATH"']
    inherit: [QUERN_TEST_PASSED]
    environment: {MODE: fast}
    directory: /usr
)");
  const ToolOutput output = run(tools, "env");
  EXPECT_EQ(output.text, "[] [passed] [fast]\n/usr\n");
  EXPECT_EQ(output.exit_code, 0);
  EXPECT_TRUE(output.ok);
}

TEST(ToolRegistry, SaysHowACommandEnded) {
  const ToolRegistry tools = registry_of(R"(tools:
  fail: {description: d, command: [sh, -c, "echo out; echo err >&2; exit 3"]}
  quiet: {description: d, command: ["true"]}
  warn: {description: d, command: [sh, -c, "echo warned >&2"]}
  killed: {description: d, command: [sh, -c, "kill -9 $$"]}
  absent: {description: d, command: [quern-no-such-program]}
  slow: {description: d, command: [sh, -c, "echo begun; sleep 600"], timeout: 200ms}
  bytes: {description: d, command: [printf, 'a\377\000b']}
  stop: {description: d, command: [sleep, "600"]}
)");
  const ToolOutput failed = run(tools, "fail");
  EXPECT_EQ(failed.text, "exit code 3\nout\nerr\n");
  EXPECT_EQ(failed.exit_code, 3);
  EXPECT_FALSE(failed.ok);
  EXPECT_EQ(run(tools, "quiet").text, "(no output)");
  EXPECT_EQ(run(tools, "warn").text, "warned\n");
  EXPECT_EQ(run(tools, "killed").exit_code, 137);
  const ToolOutput absent = run(tools, "absent");
  EXPECT_FALSE(absent.ok);
  EXPECT_FALSE(absent.exit_code);
  EXPECT_EQ(absent.text, "there is no program quern-no-such-program in PATH");
  const ToolOutput slow = run(tools, "slow");
  EXPECT_TRUE(slow.timed_out);
  EXPECT_EQ(slow.text, "sh was not done after 0.2 s; until then:\nbegun\n");
  EXPECT_EQ(run(tools, "bytes").text, "a\uFFFD\uFFFDb");
  const ToolOutput stopped = tools.prepare("stop", "{}")->run([] { return true; });
  EXPECT_TRUE(stopped.cancelled);
}

TEST(ToolRegistry, CutsLongOutputAndSaysSo) {
  const ToolRegistry tools = registry_of(R"(tools:
  long: {description: d, command: [sh, -c, "head -c 100000 /dev/zero | tr '\\0' x"], output_limit: 1KiB}
  umlauts: {description: d, command: [sh, -c, "printf x; yes ä | tr -d '\\n' | head -c 1001"], output_limit: 1000}
  endless: {description: d, command: ["yes"], output_limit: 256}
  whole: {description: d, command: [sh, -c, "head -c 256 /dev/zero | tr '\\0' x"], output_limit: 256}
)");
  const ToolOutput cut = run(tools, "long");
  EXPECT_TRUE(cut.cut);
  EXPECT_TRUE(cut.ok);
  EXPECT_EQ(cut.text, std::string(1024, 'x') + "\n[cut: these are the first 1024 bytes of at least 100000]");
  const ToolOutput umlauts = run(tools, "umlauts");
  EXPECT_TRUE(umlauts.cut);
  EXPECT_EQ(umlauts.text.find("\uFFFD"), std::string::npos);
  EXPECT_THAT(umlauts.text, HasSubstr("\u00e4\n[cut: these are the first 999 bytes of 1002]"));
  const ToolOutput endless = run(tools, "endless");
  EXPECT_FALSE(endless.ok);
  EXPECT_THAT(endless.text, HasSubstr("it wrote without end and was stopped; until then:\ny\ny\n"));
  const ToolOutput whole = run(tools, "whole");
  EXPECT_FALSE(whole.cut);
  EXPECT_EQ(whole.text.size(), 256u);
}

TEST(ToolRegistry, Builtins) {
  const ToolRegistry tools = registry_of(kTools);
  EXPECT_EQ(run(tools, "calculate", R"({"expression": "6*7"})").text, "42");
  const ToolOutput wrong = run(tools, "calculate", R"({"expression": "6*"})");
  EXPECT_FALSE(wrong.ok);
  EXPECT_EQ(wrong.text, "at character 3: the expression ends too early");
  EXPECT_THAT(run(tools, "today").text, testing::MatchesRegex("20..-..-..T..:..:...[0-9]+, [A-Z][a-z]+day"));
  EXPECT_EQ(tools.prepare("calculate", R"({"expression": "1 + 1"})")->shown(), "calculator '1 + 1'");
}

TEST(ToolRegistry, TakesFunctionsOfTheProgram) {
  ToolRegistry tools = registry_of(kTools);
  ToolRegistry::Function function{.name = "double",
                                  .description = "Doubles a number.",
                                  .parameters = R"({"properties": {"n": {"type": "integer"}}, "required": ["n"]})",
                                  .call = [](const std::string& arguments) -> Result<std::string> {
                                    const auto n = nlohmann::json::parse(arguments)["n"].get<int64_t>();
                                    if (n < 0) return fail(ErrorCode::kInvalidArgument, "n is negative");
                                    return std::to_string(2 * n);
                                  }};
  ASSERT_TRUE(tools.add(function));
  EXPECT_EQ(run(tools, "double", R"({"n": 21})").text, "42");
  EXPECT_EQ(run(tools, "double", R"({"n": -1})").text, "n is negative");
  EXPECT_EQ(refusal(tools, "double", R"({"n": "x"})"), "double: n wants integer, not a text");
  EXPECT_EQ(tools.prepare("double", R"({"n": 21})")->shown(), "double '{\"n\":21}'");
  EXPECT_EQ(tools.add(function).error().message, "there is a tool double already");
  function.name = "other";
  function.parameters = R"({"properties": {"n": {"format": "date"}}})";
  EXPECT_EQ(tools.add(function).error().message,
            "other: the schema of n: the keyword 'format' is not supported for tools");
  function.parameters = R"({"type": "array"})";
  EXPECT_FALSE(tools.add(function));
  function.parameters = "nonsense";
  EXPECT_FALSE(tools.add(function));
}

TEST(ToolsFile, SaysEverythingThatIsWrong) {
  EXPECT_EQ(problems(R"(tool: {}
)"),
            "t.yaml:1:1: the file has no key 'tool': did you mean tools?\nt.yaml:1:1: there is no key 'tools'");
  EXPECT_EQ(problems(R"(tools:
  a:
    descripton: x
    command: [ls, "{folder}"]
    arguments: {foldr: {type: string}}
  b: {description: b, builtin: clok}
  c: {description: c, http: "ftp://x/"}
  d: {description: d, command: "ls -l"}
  e: {description: e}
  f: {description: f, builtin: clock, command: [ls]}
  "g h": {description: g, builtin: clock}
)"),
            "t.yaml:3:5: a has no key 'descripton': did you mean description?\n"
            "t.yaml:4:19: there is no argument 'folder': did you mean foldr?\n"
            "t.yaml:5:16: the argument foldr is used nowhere\n"
            "t.yaml:2:3: a has no description: the model knows it by that alone\n"
            "t.yaml:6:32: builtin wants one of clock, calculator: did you mean clock?\n"
            "t.yaml:7:29: a url begins with http:// or https://\n"
            "t.yaml:8:32: command wants a list, the program and its arguments: [ls, -l, \"{folder}\"]\n"
            "t.yaml:9:3: e says not what it does: command, http or builtin is wanted\n"
            "t.yaml:10:39: f has both builtin and command: it is one of them\n"
            "t.yaml:11:3: the name of a tool has letters, digits, _ and -, at most 64");
}

TEST(ToolsFile, RefusesWhatHasNoMeaning) {
  const auto one = [](const std::string& tool) { return problems("tools:\n  t: {description: d, " + tool + "}\n"); };
  EXPECT_THAT(one("command: [ls], http: 'http://x/'"), HasSubstr("both command and http"));
  EXPECT_THAT(one("builtin: clock, stdin: text"), HasSubstr("stdin has no meaning for the kind builtin"));
  EXPECT_THAT(one("http: 'http://x/', directory: /"), HasSubstr("directory has no meaning for the kind http"));
  EXPECT_THAT(one("command: [\"{p}\"], arguments: {p: {type: string}}"), HasSubstr("must not come from the model"));
  EXPECT_THAT(one("command: [a, \"{p}{q}\"], arguments: {p: {type: array}, q: {type: array}}"), HasSubstr("two lists"));
  EXPECT_THAT(one("command: [a, \"{p\"], arguments: {p: {type: string}}"), HasSubstr("a '{' without its '}'"));
  EXPECT_THAT(one("command: [a], timeout: 0"), HasSubstr("timeout wants a duration"));
  EXPECT_THAT(one("command: [a], timeout: 2h"), HasSubstr("from 100ms to 1h"));
  EXPECT_THAT(one("command: [a], output_limit: 1GiB"), HasSubstr("from 256 to 1MiB"));
  EXPECT_THAT(one("command: [a], confirm: maybe"), HasSubstr("confirm wants one of always, never"));
  EXPECT_THAT(one("command: [a, \"{x}\"], arguments: {x: {type: text}}"), HasSubstr("type wants one of string"));
  EXPECT_THAT(one("command: [a, \"{x}\"], arguments: {x: {minimum: 1, type: string}}"),
              HasSubstr("minimum has no meaning for the type string"));
  EXPECT_THAT(one("command: [a, \"{x}\"], arguments: {x: {type: integer, enum: [1, b]}}"),
              HasSubstr("not of the type integer"));
  EXPECT_THAT(one("http: 'http://{host}/', arguments: {host: {type: string}}"), HasSubstr("the server must be named"));
  EXPECT_THAT(one("http: 'http://x{port}', arguments: {port: {type: string}}"), HasSubstr("the server must be named"));
  EXPECT_THAT(one("http: 'http://user@x/'"), HasSubstr("password"));
  EXPECT_THAT(one("http: {method: FETCH, url: 'http://x/'}"), HasSubstr("method wants one of"));
  EXPECT_THAT(one("http: 'http://x/', arguments: {a: {type: string}}"), HasSubstr("the argument a is used nowhere"));
  EXPECT_EQ(one("http: {method: POST, url: 'http://x/'}, arguments: {a: {type: string}}"), "");
  EXPECT_EQ(one("command: [a, \"{x}\"], arguments: {x: {type: string, enum: [no, 1]}}"), "");
  EXPECT_THAT(problems("tools: {}\n"), HasSubstr("there are no tools"));
  EXPECT_THAT(problems(""), HasSubstr("the file wants KEY: VALUE"));
  EXPECT_THAT(problems("tools:\n  a: &x {builtin: clock}\n"), HasSubstr("anchors"));
  std::string many = "tools:\n";
  for (int i = 0; i < 129; ++i) many += fmt::format("  t{}: {{builtin: clock}}\n", i);
  EXPECT_THAT(problems(many), HasSubstr("129 tools; at most 128"));
  EXPECT_EQ(ToolRegistry::load("no/such/tools.yaml").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace quern
