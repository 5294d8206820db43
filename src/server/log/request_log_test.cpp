#include "server/log/request_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

namespace quern::server {
namespace {

RequestRecord record() {
  RequestRecord r;
  r.time_s = 1767323045.678;
  r.id = "req-1";
  r.method = "POST";
  r.route = "/v1/chat/completions";
  r.status = 200;
  r.key_name = "alice";
  r.client = "127.0.0.1:5000";
  r.model = "chat";
  r.prompt_tokens = 12;
  r.cached_tokens = 0;
  r.generated_tokens = 34;
  r.first_token_s = 0.0713;
  r.duration_s = 1.5;
  r.finish_reason = "stop";
  r.prompt = "what was asked";
  r.answer = "what was answered";
  return r;
}

TEST(RequestLog, WritesJson) {
  EXPECT_EQ(json_line(record(), false),
            R"({"time":"2026-01-02T03:04:05.678Z","id":"req-1","method":"POST","route":"/v1/chat/completions",)"
            R"("status":200,"key":"alice","client":"127.0.0.1:5000","model":"chat","prompt_tokens":12,)"
            R"("cached_tokens":0,"generated_tokens":34,"ttft_ms":71.3,"duration_ms":1500.0,"finish_reason":"stop"})");
}

TEST(RequestLog, WritesText) {
  RequestRecord r = record();
  r.truncation = "truncate-middle: 5 tokens";
  EXPECT_EQ(text_line(r, false),
            "2026-01-02T03:04:05.678Z id=req-1 method=POST route=/v1/chat/completions status=200 key=alice "
            "client=127.0.0.1:5000 model=chat prompt_tokens=12 cached_tokens=0 generated_tokens=34 ttft_ms=71.3 "
            "duration_ms=1500.0 finish_reason=stop truncation=\"truncate-middle: 5 tokens\"");
}

TEST(RequestLog, HidesPromptsUnlessAsked) {
  for (const bool asked : {false, true}) {
    for (const std::string& line : {json_line(record(), asked), text_line(record(), asked)}) {
      EXPECT_EQ(line.find("what was asked") != std::string::npos, asked) << line;
      EXPECT_EQ(line.find("what was answered") != std::string::npos, asked) << line;
    }
  }
}

// Whatever a client sends, a line is one line of visible ASCII and the fields after it are still there.
TEST(RequestLog, EscapesWhatClientsSend) {
  RequestRecord r = record();
  const std::string hostile = "x\"\r\n2026 status=500 \x1b[2J\x7f\xff\xfe \xe2\x80\xae" + std::string(1, '\0') + "\\";
  r.route = r.model = r.error = hostile;
  r.id = std::string(100000, 'a');
  for (const std::string& line : {json_line(r, false), text_line(r, false)}) {
    EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c < 0x7F; })) << line;
    EXPECT_LT(line.size(), 6000u);
    EXPECT_THAT(line, testing::HasSubstr("duration_ms"));
  }
  const auto json = nlohmann::json::parse(json_line(r, false));
  EXPECT_EQ(json["status"], 200);
  EXPECT_THAT(json["error"].get<std::string>(), testing::StartsWith("x\"\r\n2026 status=500 \x1b[2J"));
}

TEST(RequestLog, LinesOfThreadsDoNotMix) {
  std::vector<std::string> lines;
  RequestLog log(LogFormat::kJson, false, [&](std::string_view line) { lines.emplace_back(line); });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) log.write(record());
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(lines.size(), 200u);
  for (const std::string& line : lines) EXPECT_EQ(line, json_line(record(), false) + "\n");
}

TEST(RequestLog, WritesToAFileOrNothing) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  RequestLog(LogFormat::kText, false, file_writer(file)).write(record());
  RequestLog(LogFormat::kNone, false, file_writer(file)).write(record());
  const auto expected = text_line(record(), false) + "\n";
  EXPECT_EQ(std::ftell(file), static_cast<long>(expected.size()));
  std::fclose(file);
}

TEST(RequestLog, TakesAnyTime) {
  RequestRecord r;
  for (const double time : {-1.0, 1e300, 0.0 / 1.0}) {
    r.time_s = time;
    EXPECT_THAT(text_line(r, false), testing::StartsWith("1970-01-01T00:00:00.000Z"));
  }
}

}  // namespace
}  // namespace quern::server
