// The sandbox: limits, hostile templates, errors' places, threads.
#include "chat/chat_template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

namespace quern {
namespace {

using Json = nlohmann::ordered_json;

Result<std::string> render(std::string_view source, const Json& context = Json::object(),
                           const TemplateLimits& limits = {}) {
  const auto parsed = ChatTemplate::parse(source, limits);
  if (!parsed) return tl::unexpected<Error>(parsed.error());
  return parsed->render(context);
}

std::string repeat(std::string_view text, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += text;
  return out;
}

TEST(Sandbox, RefusesWhatIsTooLarge) {
  TemplateLimits limits;
  limits.max_steps = 3'000'000;
  for (const char* source : {
           "{{ 'a' * 10**9 }}",
           "{{ [1] * 10**9 }}",
           "{{ ['a' * 1000] * 10**17 }}",
           "{{ 'a'.center(10**10) }}",
           "{{ 'a'.zfill(10**10) }}",
           "{{ 'a'.ljust(2**62, 'é') }}",
           "{{ 'a'|indent(10**10) }}",
           "{{ [1]|batch(10**12, 0)|list }}",
           "{{ ('a' * 10**6).replace('a', 'b' * 10**4) }}",
           "{{ ('x' * 10**5)|join('y' * 10**5) }}",
           "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
           "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
           "{% set ns = namespace(l=[1], m=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}"
           "{% set ns.m = [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
           "{% set ns = namespace(l=[1]) %}{% for i in range(90000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ "
           "ns.l|tojson }}",
           "{% set ns = namespace(l=[1]) %}{% for i in range(9000) %}{% set ns.l = ns.l|map('string') %}{% endfor %}{{ "
           "ns.l|list }}",
           "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
           "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
           "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
       }) {
    const auto text = render(source, Json::object(), limits);
    ASSERT_FALSE(text) << source;
    EXPECT_EQ(text.error().code, ErrorCode::kResource) << source << ": " << text.error().message;
  }
}

TEST(Sandbox, RefusesWhatIsTooLong) {
  TemplateLimits limits;
  limits.max_steps = 200'000;
  const auto slow =
      render("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", Json::object(), limits);
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().code, ErrorCode::kResource);
  limits = {};
  limits.max_output_bytes = 1000;
  EXPECT_TRUE(render("{{ 'a' * 1000 }}", Json::object(), limits));
  EXPECT_FALSE(render("{{ 'a' * 1001 }}", Json::object(), limits));
  limits.max_source_bytes = 10;
  EXPECT_FALSE(render("12345678901", Json::object(), limits));
}

TEST(Sandbox, DeepSourcesAreErrorsNotCrashes) {
  for (const char* unit : {"(", "[", "{", "-", "not ", "a[", "f(", "1 if ", "1 if 1 else ", "a is b(", "a|b(", "{1:"}) {
    EXPECT_FALSE(render(repeat("{{ ", 1) + repeat(unit, 50'000) + " }}")) << unit;
  }
  for (const char* unit : {"{% if a %}", "{% for a in b %}", "{% macro m() %}", "{% filter upper %}", "{% with %}"}) {
    EXPECT_FALSE(render(repeat(unit, 20'000))) << unit;
  }
  // Long chains do not nest in the source, but do in the tree.
  for (const char* unit : {"+1", "~1", "|string", ".a", "[0]", " or 0", " and 1", " is odd"}) {
    const auto text = render(repeat("{{ 1", 1) + repeat(unit, 50'000) + " }}");
    EXPECT_TRUE(text || text.error().message.find("template line 1") == 0) << unit;
  }
}

TEST(Errors, NameTheLineAndTheReason) {
  const auto at_parse = render("a\n{% if x %}\n{{ 1 + }}");
  ASSERT_FALSE(at_parse);
  EXPECT_EQ(at_parse.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(at_parse.error().message.rfind("template line 3: TemplateSyntaxError", 0), 0u) << at_parse.error().message;
  const auto at_run = render("a\n\n{% if true %}\n{{ raise_exception('No tools, please.') }}{% endif %}");
  ASSERT_FALSE(at_run);
  EXPECT_EQ(at_run.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(at_run.error().message, "template line 4: TemplateError: No tools, please.");
  const auto undefined = render("\n{{ messages[0].role }}");
  ASSERT_FALSE(undefined);
  EXPECT_EQ(undefined.error().message, "template line 2: UndefinedError: 'messages' is undefined");
  for (const char* word : {"include 'x'", "import 'x' as y", "extends 'x'", "from 'x' import y"}) {
    const auto refused = render(std::string("{% ") + word + " %}");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("is refused"), std::string::npos);
  }
  for (const char* refused : {"{{ [1]|random }}", "{{ lipsum() }}"}) {
    const auto text = render(refused);
    ASSERT_FALSE(text);
    EXPECT_NE(text.error().message.find("is refused"), std::string::npos) << text.error().message;
  }
}

TEST(Errors, TextThatIsNotUtf8) {
  EXPECT_FALSE(ChatTemplate::parse("a\xff"));
  EXPECT_FALSE(render("{{ a }}", Json{{"a", "\xc0\x80"}}));
  EXPECT_FALSE(render("{{ '\\ud800' }}"));
  EXPECT_FALSE(render("x", Json::array()));
}

TEST(Numbers, StayWithin64Bits) {
  EXPECT_EQ(*render("{{ 9223372036854775807 }}"), "9223372036854775807");
  EXPECT_EQ(*render("{{ -9223372036854775807 - 1 }}"), "-9223372036854775808");
  for (const char* source : {"{{ 9223372036854775807 + 1 }}", "{{ 9223372036854775808 }}", "{{ 2 ** 63 }}",
                             "{{ (-9223372036854775807 - 1) // -1 }}", "{{ -(-9223372036854775807 - 1) }}",
                             "{{ '9223372036854775808'|int }}", "{{ 4611686018427387904 * 2 }}", "{{ a }}"}) {
    EXPECT_FALSE(render(source, Json{{"a", uint64_t{1} << 63}})) << source;
  }
  EXPECT_EQ(*render("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
  EXPECT_EQ(*render("{{ range(9223372036854775800, 9223372036854775807, 5)|list }}"),
            "[9223372036854775800, 9223372036854775805]");
  EXPECT_EQ(*render("{{ range(-9223372036854775807, 9223372036854775807, 9223372036854775807)[::-1]|list }}"),
            "[0, -9223372036854775807]");
}

TEST(ChatTemplate, OneTemplateServesManyThreads) {
  const auto parsed = ChatTemplate::parse(
      "{% macro m(x) %}[{{ x }}]{% endmacro %}{% for i in l %}{{ m(i ~ 'é') }}{% endfor %}{{ 'abc'|upper }}");
  ASSERT_TRUE(parsed);
  std::vector<std::thread> threads;
  std::vector<std::string> texts(4);
  for (size_t t = 0; t < texts.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) texts[t] = parsed->render(Json{{"l", {t, 1}}}).value_or("failed");
    });
  }
  for (auto& thread : threads) thread.join();
  for (size_t t = 0; t < texts.size(); ++t)
    EXPECT_EQ(texts[t], std::string("[").append(std::to_string(t)).append("é][1é]ABC"));
}

}  // namespace
}  // namespace quern
