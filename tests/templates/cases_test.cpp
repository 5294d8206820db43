// Every case of shared/data/templates/cases.json: a template of a published model, a context, and what Jinja2 made of
// it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "chat/chat_template.h"

namespace quern {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Templates, RenderAsJinja2Does) {
  const std::filesystem::path folder = QUERN_SOURCE_DIR "/../shared/data/templates";
  if (!std::filesystem::exists(folder / "cases.json")) GTEST_SKIP() << "no shared data at " << folder;
  const auto cases = nlohmann::ordered_json::parse(read(folder / "cases.json"), nullptr, false);
  ASSERT_TRUE(cases.is_array());
  ASSERT_GT(cases.size(), 200u);
  RenderOptions options;
  options.now = std::tm{};
  options.now->tm_year = 126;
  options.now->tm_mon = 0;
  options.now->tm_mday = 2;
  options.now->tm_hour = 3;
  options.now->tm_min = 4;
  options.now->tm_sec = 5;
  options.now->tm_wday = 5;
  options.now->tm_yday = 1;
  for (const auto& c : cases) {
    const auto name = c["template"].get<std::string>();
    SCOPED_TRACE(name + " " + c["case"].get<std::string>());
    const auto parsed = ChatTemplate::parse(read(folder / name));
    ASSERT_TRUE(parsed) << parsed.error().message;
    const auto text = parsed->render(c["context"], options);
    if (c.contains("error")) {
      ASSERT_FALSE(text) << *text;
      EXPECT_NE(text.error().message.find(c["error"].get<std::string>()), std::string::npos) << text.error().message;
      EXPECT_EQ(text.error().message.rfind("template line ", 0), 0u) << text.error().message;
    } else {
      ASSERT_TRUE(text) << text.error().message;
      EXPECT_EQ(*text, c["expected"].get<std::string>());
    }
  }
}

}  // namespace
}  // namespace quern
