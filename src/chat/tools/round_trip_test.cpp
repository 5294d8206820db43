// What the models' own templates make of calls, read back; and the writing of those that render none.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "chat/tools/call_writer.h"
#include "chat/tools/reply_parser.h"
#include "chat/tools/tool_prompt.h"

namespace quern::tools {
namespace {

const std::filesystem::path kTemplates = std::filesystem::path(QUERN_SOURCE_DIR) / "../shared/data/templates";

const Json& tools() {
  static const Json all = Json::parse(R"([
    {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": {"type": "object",
      "properties": {"city": {"type": "string", "description": "City"}, "days": {"type": "integer", "description": "Days"},
                     "opts": {"type": "object", "description": "More"}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "add", "description": "Adds", "parameters": {"type": "object",
      "properties": {"a": {"type": "number", "description": "a"}, "b": {"type": "number", "description": "b"}},
      "required": ["a"]}}}])");
  return all;
}

Json call(const char* id, const char* name, const char* arguments) {
  return {{"id", id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", Json::parse(arguments)}}}};
}

Json one_call() {
  return Json::array({call("abcdef123", "get_weather",
                           R"({"city": "Ulm \"x\" é\nb", "days": 2, "opts": {"deep": [1, true, null]}})")});
}

Json two_calls() {
  Json calls = one_call();
  calls.push_back(call("abcdef124", "add", R"({"a": -1, "b": 2.5})"));
  return calls;
}

std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

ChatRequest request(Json messages, bool generation_prompt) {
  ChatRequest r;
  r.messages = std::move(messages);
  r.tools = tools();
  r.add_generation_prompt = generation_prompt;
  r.bos_token = "<BOS>";
  r.eos_token = "<EOS>";
  r.now = std::tm{};
  return r;
}

const Json kUser = {{"role", "user"}, {"content", "Question?"}};

// What a template makes of an assistant's message behind what it makes of the question.
struct Part {
  std::string prompt, text, whole;
  bool reasoning_open = false;
  bool behind_prompt = false;  // the message's text begins with the prompt
};

Result<Part> assistant_part(const ToolFormat& format, const ChatTemplate& chat_template, const Json& message) {
  ChatRequest before = request(Json::array({kUser}), true), with = request(Json::array({kUser, message}), false);
  QUERN_CHECK_OK(prepare_tools(format, true, before));
  QUERN_CHECK_OK(prepare_tools(format, true, with));
  QUERN_TRY(const std::string prompt, render_chat(chat_template, before));
  QUERN_TRY(const std::string whole, render_chat(chat_template, with));
  // A template may end the prompt in what the message does not have, reasoning: then all behind the question is taken.
  size_t same = prompt.size();
  if (!whole.starts_with(prompt)) same = whole.find("Question?") + 9;
  Part part{prompt, whole.substr(same), whole, false, whole.starts_with(prompt)};
  if (part.behind_prompt) part.reasoning_open = format.opens_reasoning(prompt);
  return part;
}

std::vector<std::pair<std::string, Json>> wanted(const Json& calls) {
  std::vector<std::pair<std::string, Json>> out;
  for (const Json& c : calls) out.emplace_back(c["function"]["name"], c["function"]["arguments"]);
  return out;
}

void expect_calls(const ParsedReply& reply, const Json& calls, const std::string& text) {
  const auto want = wanted(calls);
  ASSERT_EQ(reply.calls.size(), want.size()) << text << "\ncontent: " << reply.content;
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(reply.calls[i].name, want[i].first);
    EXPECT_EQ(nlohmann::json::parse(reply.calls[i].arguments), nlohmann::json(want[i].second)) << text;
  }
  EXPECT_TRUE(reply.problems.empty()) << reply.problems.front();
}

std::shared_ptr<const ToolSet> tool_set() {
  return std::make_shared<const ToolSet>(*ToolSet::read(tools()));
}

struct Expected {
  const char *file, *format;
  bool same_bytes = true;  // calls that quern writes, or has the grammar ask for, are those that the template renders
  bool replays = true;     // a message made of a parsed reply renders to the reply's bytes
};
// All templates of the folder, and the format that each is told to be of.
constexpr Expected kExpected[] = {
    {"Apertus-8B-Instruct", "apertus"},
    {.file = "Apriel-1.6-15b-Thinker-fixed", .format = "apriel", .replays = false},
    {"Bielik-11B-v3.0-Instruct", "hermes"},
    {.file = "ByteDance-Seed-OSS", .format = "seed", .same_bytes = false},
    {.file = "CohereForAI-c4ai-command-r-plus-tool_use",
     .format = "command-r-plus",
     .same_bytes = false,
     .replays = false},
    {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", "command-r7b"},
    {"GLM-4.6", "glm"},
    {.file = "GLM-4.7-Flash", .format = "glm-tight", .replays = false},
    {"GLM-5.2", "glm-tight"},
    {"GigaChat3-10B-A1.8B", "gigachat3"},
    {"GigaChat3.1-10B-A1.8B", "gigachat3.1"},
    {"Kimi-K2-Instruct", "kimi"},
    {"Kimi-K2-Thinking", "kimi"},
    {"LFM2-8B-A1B", "lfm2"},
    {"LFM2.5-Instruct", "lfm2"},
    {"MiMo-VL", "hermes"},
    {"Mistral-Small-3.2-24B-Instruct-2506", "mistral-ids"},
    {.file = "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", .format = "qwen-coder", .replays = false},
    {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "hermes"},
    {"Qwen3-Coder", "qwen-coder"},
    {"Qwen3.5-4B", "qwen-coder"},
    {.file = "Reka-Edge", .format = "hermes", .same_bytes = false},
    {.file = "deepseek-ai-DeepSeek-R1-Distill-Llama-8B", .format = "deepseek", .same_bytes = false, .replays = false},
    {.file = "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", .format = "deepseek", .replays = false},
    {.file = "deepseek-ai-DeepSeek-V3.2", .format = "deepseek-v3.2", .replays = false},
    {"deepseek-ai-DeepSeek-V4", "deepseek-v4"},
    {"fireworks-ai-llama-3-firefunction-v2", "firefunction"},
    {.file = "google-gemma-4-31B-it-interleaved", .format = "gemma4", .replays = false},
    {.file = "google-gemma-4-31B-it", .format = "gemma4", .replays = false},
    {"ibm-granite-granite-3.3-2B-Instruct", "granite"},
    {.file = "llama-cpp-deepseek-r1", .format = "deepseek", .replays = false},
    {"llama-cpp-rwkv-world", "generic"},
    {"meetkai-functionary-medium-v3.1", "functionary"},
    {"meta-llama-Llama-3.1-8B-Instruct", "llama3"},
    {"meta-llama-Llama-3.2-3B-Instruct", "llama3"},
    {"meta-llama-Llama-3.3-70B-Instruct", "llama3"},
    {"microsoft-Phi-3.5-mini-instruct", "generic"},
    {"mistralai-Ministral-3-14B-Reasoning-2512", "mistral-named"},
    {"moonshotai-Kimi-K2", "kimi"},
    {"stepfun-ai-Step-3.5-Flash", "qwen-coder"},
    {"unsloth-mistral-Devstral-Small-2507", "mistral-named"},
};

class RoundTrip : public ::testing::TestWithParam<Expected> {
 protected:
  void SetUp() override {
    const auto path = kTemplates / (std::string(GetParam().file) + ".jinja");
    if (!std::filesystem::exists(kTemplates)) GTEST_SKIP() << "no " << kTemplates;
    source_ = slurp(path);
    ASSERT_FALSE(source_.empty()) << path;
    auto parsed = ChatTemplate::parse(source_);
    ASSERT_TRUE(parsed) << parsed.error().message;
    template_ = std::make_unique<ChatTemplate>(std::move(*parsed));
    format_ = ToolFormat::of(source_, *template_);
    EXPECT_EQ(format_.name(), GetParam().format);
  }

  void round_trip(const Json& calls, const std::string& content) {
    const Json message = {{"role", "assistant"}, {"content", content}, {"tool_calls", calls}};
    const auto part = assistant_part(format_, *template_, message);
    ASSERT_TRUE(part) << part.error().message;
    ReplyParser parser(format_, tool_set(), {.reasoning_open = part->reasoning_open});
    parser.feed(part->text);
    const ParsedReply reply = parser.finish();
    expect_calls(reply, calls, part->text);
    // The tools are told to the model.
    EXPECT_NE(part->prompt.find("get_weather"), std::string::npos);
    // What quern writes by itself reads back as well.
    const std::string written = write_calls(format_.family(), reply.calls);
    ReplyParser again(format_, tool_set());
    again.feed(written);
    const ParsedReply own = again.finish();
    expect_calls(own, calls, written);
    std::string raws;
    for (const ToolCall& c : own.calls) raws += c.raw;
    EXPECT_EQ(raws, written);
    // Calls sampled in another spelling come back as they were.
    std::vector<ToolCall> sampled = reply.calls;
    for (ToolCall& c : sampled) c.raw = "<<" + c.name + ">>";
    const std::string restored = restore_calls(format_, *tool_set(), part->whole, sampled);
    size_t at = 0;
    for (const ToolCall& c : sampled) {
      const size_t place = restored.find(c.raw, at);
      EXPECT_NE(place, std::string::npos) << restored;
      at = place + 1;
    }
    if (calls.size() > 1) return;  // with text before the calls some templates drop the one or the other
    EXPECT_EQ(part->text.find(written) != std::string::npos, GetParam().same_bytes) << part->text << "\nand\n"
                                                                                    << written;
    EXPECT_EQ(replays(reply, *part), GetParam().replays) << part->text;
  }

  // Whether a message made of what was parsed of a reply renders to the reply's bytes, behind the very prompt.
  bool replays(const ParsedReply& whole, const Part& part) {
    const std::string& last = whole.calls.back().raw;
    const std::string sampled = part.text.substr(0, part.text.rfind(last) + last.size());
    ReplyParser parser(format_, tool_set(), {.reasoning_open = part.reasoning_open});
    parser.feed(sampled);
    const ParsedReply reply = parser.finish();
    Json calls = Json::array();
    for (const ToolCall& c : reply.calls) calls.push_back(call(c.id.c_str(), c.name.c_str(), c.arguments.c_str()));
    Json message = {{"role", "assistant"}, {"content", reply.content}, {"tool_calls", calls}};
    if (!reply.reasoning.empty()) message["reasoning_content"] = reply.reasoning;
    const auto again = assistant_part(format_, *template_, message);
    EXPECT_TRUE(again) << again.error().message;
    return again && part.behind_prompt && again->text.starts_with(sampled);
  }

  std::string source_;
  std::unique_ptr<ChatTemplate> template_;
  ToolFormat format_ = ToolFormat::any();
};

TEST_P(RoundTrip, OneCall) {
  round_trip(one_call(), "");
}

TEST_P(RoundTrip, TwoCallsBehindText) {
  if (!format_.family().single) return round_trip(two_calls(), "Let me see.");
  // One call a message: there are two of them.
  const Json message = {{"role", "assistant"}, {"content", "Let me see."}, {"tool_calls", two_calls()}};
  ChatRequest r = request(Json::array({kUser, message}), false);
  ASSERT_TRUE(prepare_tools(format_, true, r));
  const auto text = render_chat(*template_, r);
  ASSERT_TRUE(text) << text.error().message;
  size_t at = text->find("Question?");
  for (const char* piece : {"Let me see.", "get_weather", "Ulm", "add", "2.5"}) {
    at = text->find(piece, at);
    ASSERT_NE(at, std::string::npos) << piece << " in\n" << *text;
  }
}

TEST_P(RoundTrip, ResultsAndTheNextQuestion) {
  const Json calls = format_.family().single ? one_call() : two_calls();
  Json messages = Json::array({kUser, {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", calls}}});
  for (const Json& c : calls) {
    messages.push_back({{"role", "tool"},
                        {"tool_call_id", c["id"]},
                        {"name", c["function"]["name"]},
                        {"content", "Result " + c["id"].get<std::string>()}});
  }
  messages.push_back({{"role", "assistant"}, {"content", "So it is."}});
  messages.push_back({{"role", "user"}, {"content", "And now?"}});
  ChatRequest r = request(std::move(messages), true);
  ASSERT_TRUE(prepare_tools(format_, true, r));
  const auto text = render_chat(*template_, r);
  ASSERT_TRUE(text) << text.error().message;
  size_t at = 0;
  for (const char* piece : {"Question?", "get_weather", "Result abcdef123", "So it is.", "And now?"}) {
    const size_t place = text->find(piece, at);
    EXPECT_NE(place, std::string::npos) << piece << " in\n" << *text;
    at = place == std::string::npos ? at : place;
  }
}

// What the template puts before a message's first call stays, in each turn.
TEST_P(RoundTrip, CallsOfTwoTurnsAreRestored) {
  Json messages = Json::array({kUser});
  std::vector<ToolCall> sampled;
  for (const char* name : {"first", "second"}) {
    const Json arguments = {{"city", name}};
    messages.push_back({{"role", "assistant"},
                        {"content", nullptr},
                        {"tool_calls", Json::array({call("abcdef123", "get_weather", arguments.dump().c_str())})}});
    messages.push_back({{"role", "tool"}, {"tool_call_id", "abcdef123"}, {"name", "get_weather"}, {"content", "12"}});
    sampled.push_back({"abcdef123", "get_weather", arguments.dump(), std::string("<<") + name + ">>"});
  }
  ChatRequest r = request(std::move(messages), true);
  ASSERT_TRUE(prepare_tools(format_, true, r));
  const auto text = render_chat(*template_, r);
  ASSERT_TRUE(text) << text.error().message;
  const std::string restored = restore_calls(format_, *tool_set(), *text, sampled);
  ReplyParser parser(format_, tool_set(), {.only_calls = true});
  parser.feed(*text);
  const ParsedReply rendered = parser.finish();
  // The templates of DeepSeek R1's distilled models write the opener in the first turn only.
  const bool opens_once = std::string_view(GetParam().file).starts_with("deepseek-ai-DeepSeek-R1-Distill");
  ASSERT_EQ(rendered.calls.size(), opens_once ? 1 : sampled.size());
  const auto space_before = [](const std::string& whole, const std::string& piece) {
    const std::string before = whole.substr(0, whole.find(piece));
    return before.substr(before.find_last_not_of(" \n") + 1);
  };
  for (size_t i = 0; i < rendered.calls.size(); ++i) {
    const std::string& raw = rendered.calls[i].raw;
    EXPECT_NE(restored.find(sampled[i].raw), std::string::npos) << restored;
    EXPECT_EQ(space_before(restored, sampled[i].raw), space_before(*text, raw.substr(raw.find_first_not_of(" \n"))));
  }
}

// Of a tool only the name must be there, and of an argument nothing.
TEST_P(RoundTrip, ToolsThatSayLittle) {
  for (const char* parameters :
       {"null", "{}", R"({"type": "object"})", R"({"type": "object", "properties": {}})",
        R"({"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": ["integer", "null"]}}})",
        R"({"type": "object", "properties": {"x": {"type": "array"}, "y": {"type": "object"}, "z": {}}})",
        R"({"type": "object", "properties": {"x": true, "y": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "z": {"type": "array", "items": {"type": "object", "additionalProperties": false}}}})"}) {
    ChatRequest r = request(Json::array({kUser}), true);
    r.tools = Json::parse(R"([{"type": "function", "function": {"name": "a_tool_of_few_words"}}])");
    if (parameters != std::string_view("null")) r.tools[0]["function"]["parameters"] = Json::parse(parameters);
    ASSERT_TRUE(prepare_tools(format_, true, r));
    const auto text = render_chat(*template_, r);
    ASSERT_TRUE(text) << parameters << ": " << text.error().message;
    EXPECT_NE(text->find("a_tool_of_few_words"), std::string::npos) << *text;
  }
}

INSTANTIATE_TEST_SUITE_P(Templates, RoundTrip, ::testing::ValuesIn(kExpected), [](const auto& each) {
  std::string name = each.param.file;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

TEST(RoundTripFolder, EveryTemplateIsListed) {
  if (!std::filesystem::exists(kTemplates)) GTEST_SKIP() << "no " << kTemplates;
  std::set<std::string> files, listed;
  for (const auto& entry : std::filesystem::directory_iterator(kTemplates)) {
    if (entry.path().extension() == ".jinja") files.insert(entry.path().stem());
  }
  for (const Expected& e : kExpected) listed.insert(e.file);
  EXPECT_EQ(files, listed);
}

}  // namespace
}  // namespace quern::tools
