// testdata/jinja_cases.json: small templates with what real Jinja2 made of them (tools/make_template_golden.py).
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "chat/chat_template.h"

namespace quern {
namespace {

std::tm golden_time() {
  std::tm t{};
  t.tm_year = 126;
  t.tm_mday = 2;
  t.tm_hour = 3;
  t.tm_min = 4;
  t.tm_sec = 5;
  t.tm_wday = 5;
  t.tm_yday = 1;
  return t;
}

TEST(JinjaCases, EqualJinja2) {
  std::ifstream in(QUERN_SOURCE_DIR "/src/chat/testdata/jinja_cases.json");
  const auto golden = nlohmann::ordered_json::parse(in, nullptr, false);
  ASSERT_TRUE(golden.is_object());
  ASSERT_GT(golden["cases"].size(), 800u);
  const RenderOptions options{.now = golden_time()};
  for (const auto& c : golden["cases"]) {
    const auto source = c[0].get<std::string>();
    const auto parsed = ChatTemplate::parse(source);
    const auto text = parsed ? parsed->render(golden["context"], options) : tl::unexpected<Error>(parsed.error());
    if (c[1].is_null()) {
      EXPECT_FALSE(text) << source << "\n  should raise " << c[2] << ", gives: " << *text;
      if (!text) {
        EXPECT_EQ(text.error().message.rfind("template line ", 0), 0u) << text.error().message;
      }
    } else {
      ASSERT_TRUE(c[1].is_string());
      EXPECT_TRUE(text) << source << "\n  should give: " << c[1] << "\n  fails: " << text.error().message;
      if (text) {
        EXPECT_EQ(*text, c[1].get<std::string>()) << source;
      }
    }
  }
}

}  // namespace
}  // namespace quern
