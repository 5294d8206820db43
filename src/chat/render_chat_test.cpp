#include "chat/render_chat.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

using Json = nlohmann::ordered_json;

ChatTemplate parse(std::string_view source) {
  auto parsed = ChatTemplate::parse(source);
  EXPECT_TRUE(parsed);
  return *parsed;
}

ChatRequest request() {
  ChatRequest r;
  r.messages = Json::parse(R"([{"role": "user", "content": "Hi"}])");
  r.bos_token = "<s>";
  r.eos_token = "</s>";
  return r;
}

TEST(RenderChat, GivesTheTemplateItsVariables) {
  const auto t = parse(
      "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}{{ eos_token }}{% endfor %}"
      "{{ tools is none }}{{ documents is none }}{% if add_generation_prompt %}bot:{% endif %}{{ enable_thinking }}");
  ChatRequest r = request();
  EXPECT_EQ(*render_chat(t, r), "<s>user:Hi</s>TrueTruebot:");
  r.add_generation_prompt = false;
  r.extra = Json{{"enable_thinking", false}};
  r.tools = Json::array({Json{{"name", "f"}}});
  EXPECT_EQ(*render_chat(t, r), "<s>user:Hi</s>FalseTrueFalse");
}

TEST(RenderChat, TellsTheGivenTime) {
  ChatRequest r = request();
  r.now = std::tm{};
  r.now->tm_year = 126;
  r.now->tm_mday = 2;
  EXPECT_EQ(*render_chat(parse("{{ strftime_now('%d %b %Y') }}"), r), "02 Jan 2026");
  r.now.reset();
  EXPECT_EQ(render_chat(parse("{{ strftime_now('%Y') }}"), r)->size(), 4u);
}

TEST(RenderChat, OffersArgumentsInTheFormThatTheTemplateTakes) {
  ChatRequest r = request();
  r.messages = Json::parse(
      R"([{"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": "{\"x\": 1}"}}]}])");
  const char* as_object =
      "{% for k, v in messages[0].tool_calls[0].function.arguments|items %}{{ k }}={{ v }}{% endfor %}";
  EXPECT_EQ(*render_chat(parse(as_object), r), "x=1");
  const char* as_text = "{{ 'args: ' + messages[0].tool_calls[0].function.arguments }}";
  EXPECT_EQ(*render_chat(parse(as_text), r), "args: {\"x\":1}");
  const auto neither = render_chat(parse("{{ raise_exception('never') }}"), r);
  ASSERT_FALSE(neither);
  EXPECT_NE(neither.error().message.find("never"), std::string::npos);
}

TEST(RenderChat, RefusesWrongShapes) {
  const auto t = parse("x");
  ChatRequest r = request();
  r.messages = Json::object();
  EXPECT_FALSE(render_chat(t, r));
  r.messages = Json::array({Json{{"content", "no role"}}});
  EXPECT_FALSE(render_chat(t, r));
  r = request();
  r.tools = "f";
  EXPECT_FALSE(render_chat(t, r));
  r = request();
  r.extra = Json{{"messages", 1}};
  EXPECT_FALSE(render_chat(t, r));
}

TEST(RenderTemplateText, TakesSourceAndContext) {
  EXPECT_EQ(*render_template_text("{{ a }}", R"({"a": 1.0})"), "1.0");
  EXPECT_FALSE(render_template_text("{{ a", "{}"));
  EXPECT_FALSE(render_template_text("a", "{"));
  EXPECT_FALSE(render_template_text("a", "[]"));
}

}  // namespace
}  // namespace quern
