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
  return Json::array({call("abcdef123", "get_weather", R"({"city": "Ulm \"x\" é\nb", "days": 2, "opts": {"deep": [1, true, null]}})")});
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
  std::string prompt, text;
  bool reasoning_open = false;
};

Result<Part> assistant_part(const ToolFormat& format, const ChatTemplate& chat_template, const Json& message) {
  ChatRequest before = request(Json::array({kUser}), true), with = request(Json::array({kUser, message}), false);
  QUERN_CHECK_OK(prepare_tools(format, true, before));
  QUERN_CHECK_OK(prepare_tools(format, true, with));
  QUERN_TRY(const std::string prompt, render_chat(chat_template, before));
  QUERN_TRY(const std::string whole, render_chat(chat_template, with));
  size_t same = 0;
  while (same < prompt.size() && same < whole.size() && prompt[same] == whole[same]) ++same;
  // A prompt may end in what opens or closes reasoning where the message does not have it.
  while (same > 0 && (static_cast<unsigned char>(whole[same]) & 0xC0) == 0x80) --same;
  Part part{prompt, whole.substr(same), false};
  if (same == prompt.size()) part.reasoning_open = format.opens_reasoning(prompt);
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
};
// All templates of the folder, and the format that each is told to be of.
constexpr Expected kExpected[] = {
    {"Apertus-8B-Instruct", "apertus"},
    {"Apriel-1.6-15b-Thinker-fixed", "apriel"},
    {"Bielik-11B-v3.0-Instruct", "hermes"},
    {"ByteDance-Seed-OSS", "seed"},
    {"CohereForAI-c4ai-command-r-plus-tool_use", "command-r-plus"},
    {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", "command-r7b"},
    {"GLM-4.6", "glm"},
    {"GLM-4.7-Flash", "glm-tight"},
    {"GLM-5.2", "glm-tight"},
    {"GigaChat3-10B-A1.8B", "gigachat3"},
    {"GigaChat3.1-10B-A1.8B", "gigachat3.1"},
    {"Kimi-K2-Instruct", "kimi"},
    {"Kimi-K2-Thinking", "kimi"},
    {"LFM2-8B-A1B", "lfm2"},
    {"LFM2.5-Instruct", "lfm2"},
    {"MiMo-VL", "hermes"},
    {"Mistral-Small-3.2-24B-Instruct-2506", "mistral-ids"},
    {"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "qwen-coder"},
    {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "hermes"},
    {"Qwen3-Coder", "qwen-coder"},
    {"Qwen3.5-4B", "qwen-coder"},
    {"Reka-Edge", "hermes"},
    {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "deepseek"},
    {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "deepseek"},
    {"deepseek-ai-DeepSeek-V3.2", "deepseek-v3.2"},
    {"deepseek-ai-DeepSeek-V4", "deepseek-v4"},
    {"fireworks-ai-llama-3-firefunction-v2", "firefunction"},
    {"google-gemma-4-31B-it-interleaved", "gemma4"},
    {"google-gemma-4-31B-it", "gemma4"},
    {"ibm-granite-granite-3.3-2B-Instruct", "granite"},
    {"llama-cpp-deepseek-r1", "deepseek"},
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
    const std::string restored = restore_calls(format_, *tool_set(), part->text, sampled);
    size_t at = 0;
    for (const ToolCall& c : sampled) {
      const size_t place = restored.find(c.raw, at);
      EXPECT_NE(place, std::string::npos) << restored;
      at = place + 1;
    }
    RecordProperty("own_writing_is_the_templates", part->text.find(written) != std::string::npos ? 1 : 0);
  }

  std::string source_;
  std::unique_ptr<ChatTemplate> template_;
  ToolFormat format_ = ToolFormat::any();
};

TEST_P(RoundTrip, OneCall) {
  round_trip(one_call(), "");
}

TEST_P(RoundTrip, TwoCallsBehindText) {
  if (format_.family().single) GTEST_SKIP() << "one call a reply";
  round_trip(two_calls(), "Let me see.");
}

TEST_P(RoundTrip, ResultsAndTheNextQuestion) {
  const Json calls = format_.family().single ? one_call() : two_calls();
  Json messages = Json::array({kUser, {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", calls}}});
  for (const Json& c : calls) {
    messages.push_back({{"role", "tool"}, {"tool_call_id", c["id"]}, {"name", c["function"]["name"]},
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

INSTANTIATE_TEST_SUITE_P(Templates, RoundTrip, ::testing::ValuesIn(kExpected), [](const auto& info) {
  std::string name = info.param.file;
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
