// What /metrics says, that promtool finds nothing to say about it, and that the files in deploy/ use names it exports.
#include "server/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <thread>

#include "config/text_file.h"
#include "os/process.h"
#include "server/config/server_config.h"

namespace quern::server {
namespace {

using testing::HasSubstr;

const std::string kDeploy = std::string(QUERN_SOURCE_DIR) + "/deploy/";

// Every family, with a member each.
std::string render_all() {
  Metrics metrics;
  const auto model = metrics.model("chat");
  model->loaded(1.25);
  metrics.request("/v1/models", 200, 0.001);
  return metrics.render();
}

TEST(Metrics, CountsWhatAModelDoes) {
  Metrics metrics;
  const auto model = metrics.model("chat \"one\"");
  EXPECT_EQ(model, metrics.model("chat \"one\""));
  model->on_queued(0.0004);
  model->on_first_token(0.3);
  model->on_gap(0.012);
  model->on_step({.prompt_tokens = 100, .decode_tokens = 3, .seconds = 0.04});
  model->on_step({.prompt_tokens = 28, .decode_tokens = 0, .seconds = 0.02});
  model->on_preempted();
  GenerateStats stats;
  stats.prompt_tokens = 128;
  stats.cached_tokens = 64;
  stats.prompt_seconds = 0.5;
  stats.generated_tokens = 11;
  stats.generate_seconds = 0.1;
  model->on_end(stats, StopReason::kStopString);
  model->truncated("truncate-head", 50);
  model->truncated("unheard of", 1);
  const std::string text = metrics.render();
  const std::string label = R"(model="chat \"one\"")";
  for (const std::string& line : {
           "quern_queue_seconds_bucket{" + label + R"(,le="0.001"} 1)",
           "quern_time_to_first_token_seconds_bucket{" + label + R"(,le="0.2"} 0)",
           "quern_time_to_first_token_seconds_bucket{" + label + R"(,le="0.5"} 1)",
           "quern_token_gap_seconds_sum{" + label + "} 0.012",
           "quern_batch_tokens_sum{" + label + "} 131",
           "quern_batch_sequences_count{" + label + "} 1",
           "quern_step_seconds_count{" + label + "} 2",
           "quern_prompt_tokens_per_second_sum{" + label + "} 128",
           "quern_decode_tokens_per_second_sum{" + label + "} 100",
           "quern_preemptions_total{" + label + "} 1",
       }) {
    EXPECT_THAT(text, HasSubstr("\n" + line + "\n"));
  }
  for (const auto& [name, key, value, count] :
       std::initializer_list<std::tuple<const char*, const char*, const char*, int>>{
           {"quern_tokens_total", "kind", "prompt", 128},
           {"quern_tokens_total", "kind", "cached", 64},
           {"quern_tokens_total", "kind", "generated", 11},
           {"quern_computed_tokens_total", "phase", "prompt", 128},
           {"quern_computed_tokens_total", "phase", "decode", 3},
           {"quern_finished_requests_total", "reason", "stop_string", 1},
           {"quern_finished_requests_total", "reason", "cancelled", 0},
           {"quern_truncated_prompts_total", "policy", "truncate-head", 1},
           {"quern_truncated_tokens_total", "policy", "truncate-head", 50},
           {"quern_truncated_prompts_total", "policy", "other", 1}}) {
    // The order of labels is prometheus-cpp's own.
    const std::string one = fmt::format("{}{{{},{}=\"{}\"}} {}\n", name, label, key, value, count);
    const std::string two = fmt::format("{}{{{}=\"{}\",{}}} {}\n", name, key, value, label, count);
    EXPECT_TRUE(text.find(one) != std::string::npos || text.find(two) != std::string::npos) << one;
  }
}

// A figure that begins again with a load does not make its counter fall.
TEST(Metrics, FollowsFiguresOverLoads) {
  Metrics metrics;
  const auto model = metrics.model("m");
  ServiceState state;
  state.page_bytes = 1000;
  state.pages = 10;
  state.pages_used = 4;
  state.pages_cached = 3;
  state.slots = 8;
  state.running = 2;
  state.waiting = 5;
  state.disk_errors = 2;
  model->loaded(0.5);
  model->set_state(state);
  model->set_state(state);
  model->set_batcher({.batches = 3, .padding_avoided_tokens = 70, .mean_batch_size = 2.5, .mean_wait_seconds = 0.004});
  std::string text = metrics.render();
  EXPECT_THAT(text, HasSubstr("quern_kv_disk_errors_total{model=\"m\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("quern_kv_cached_bytes{model=\"m\"} 3000\n"));
  EXPECT_THAT(text, HasSubstr("quern_slots_used{model=\"m\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("quern_waiting_requests{model=\"m\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("quern_batcher_padding_avoided_tokens_total{model=\"m\"} 70\n"));
  EXPECT_THAT(text, HasSubstr("quern_model_loaded{model=\"m\"} 1\n"));
  EXPECT_THAT(text, testing::ContainsRegex("quern_kv_pages\\{[^}]*free[^}]*\\} 3\n"));
  model->unloaded();
  model->loaded(0.25);
  state.disk_errors = 1;
  model->set_state(state);
  text = metrics.render();
  EXPECT_THAT(text, HasSubstr("quern_kv_disk_errors_total{model=\"m\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("quern_model_loads_total{model=\"m\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("quern_model_load_seconds{model=\"m\"} 0.25\n"));
  model->unloaded();
  EXPECT_THAT(metrics.render(), HasSubstr("quern_kv_cached_bytes{model=\"m\"} 0\n"));
}

TEST(Metrics, CountsWhatTheServerDoes) {
  Metrics metrics;
  metrics.request("/v1/models", 200, 0.0004);
  metrics.request("/v1/models", 404, 0.0004);
  metrics.request("/v1/models", 99999, 1);
  for (int i = 0; i < 1000; ++i) metrics.request("/made/up/" + std::to_string(i), 404, 0.001);
  metrics.cancelled(CancelCause::kClientGone);
  metrics.rate_limited("tokens");
  metrics.refused_key();
  metrics.queue_full();
  metrics.replayed(7);
  metrics.set_connections(12);
  metrics.set_requests_in_flight(3);
  metrics.set_sessions(5, 2, 4096);
  metrics.set_memory(1 << 20, 0);
  metrics.set_degraded(true);
  metrics.set_draining(true);
  const std::string text = metrics.render();
  EXPECT_THAT(text, testing::ContainsRegex("quern_http_requests_total\\{[^}]*404[^}]*/v1/models[^}]*\\} 1\n|"
                                           "quern_http_requests_total\\{[^}]*/v1/models[^}]*404[^}]*\\} 1\n"));
  EXPECT_THAT(text, HasSubstr("quern_http_request_seconds_count{route=\"/v1/models\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("quern_http_request_seconds_count{route=\"other\"} 745\n"));  // beyond 256 routes
  EXPECT_THAT(text, HasSubstr("quern_cancellations_total{cause=\"client_gone\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("quern_rate_limited_total{limit=\"tokens\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("quern_refused_keys_total 1\n"));
  EXPECT_THAT(text, HasSubstr("quern_queue_full_total 1\n"));
  EXPECT_THAT(text, HasSubstr("quern_replayed_events_total 7\n"));
  EXPECT_THAT(text, HasSubstr("quern_http_connections 12\n"));
  EXPECT_THAT(text, HasSubstr("quern_sessions{state=\"attached\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("quern_session_bytes 4096\n"));
  EXPECT_THAT(text, HasSubstr("quern_resident_memory_bytes 1048576\n"));
  EXPECT_THAT(text, HasSubstr("quern_degraded 1\n"));
}

TEST(Metrics, CountsAcrossThreads) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&metrics] {
      const auto model = metrics.model("m");
      for (int i = 0; i < 200; ++i) {
        model->on_gap(0.001);
        model->set_state({});
        metrics.request("/r", 200 + i % 3, 0.1);
        if (i % 50 == 0) (void)metrics.render();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = metrics.render();
  EXPECT_THAT(text, HasSubstr("quern_token_gap_seconds_count{model=\"m\"} 800\n"));
  EXPECT_THAT(text, HasSubstr("quern_http_request_seconds_count{route=\"/r\"} 800\n"));
}

// promtool with a file of `text`; false where promtool is not there.
bool run_promtool(std::vector<std::string> arguments, ProcessResult& result, std::string& output) {
  arguments.insert(arguments.begin(), "promtool");
  ProcessOptions options;
  options.argv = std::move(arguments);
  options.on_output = [&](std::span<const std::byte> bytes) {
    output.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return Status{};
  };
  auto ran = run_process(options);
  if (!ran) return false;
  result = *ran;
  return true;
}

TEST(Metrics, PromtoolHasNothingToSay) {
  // promtool reads its standard input only, so a shell stands between.
  const std::string path = testing::TempDir() + "quern_metrics.txt";
  std::ofstream(path) << render_all();
  ProcessOptions options;
  options.argv = {"sh", "-c", "command -v promtool >/dev/null || exit 77; promtool check metrics <\"$0\" 1>&2", path};
  const auto ran = run_process(options);
  std::filesystem::remove(path);
  ASSERT_TRUE(ran) << ran.error().message;
  if (ran->exit_code == 77) GTEST_SKIP() << "promtool is not installed (tools/packages.txt, test)";
  EXPECT_EQ(ran->exit_code, 0);
  EXPECT_EQ(ran->error_text, "");
}

TEST(Deploy, AlertRulesFireWhenTheyShould) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"check", "rules", kDeploy + "quern-alerts.yml"},
        {"test", "rules", kDeploy + "quern-alerts.test.yml"}}) {
    ProcessResult result;
    std::string output;
    if (!run_promtool(arguments, result, output))
      GTEST_SKIP() << "promtool is not installed (tools/packages.txt, test)";
    EXPECT_EQ(result.exit_code, 0) << output << result.error_text;
  }
}

// The metrics' names, and those of their series: with _bucket, _sum, _count of histograms.
std::set<std::string> exported_names() {
  std::set<std::string> names;
  const std::string text = render_all();
  static const std::regex kSeries("\n(?:# TYPE )?(quern_[a-z_]+)[ {]");
  for (std::sregex_iterator it(text.begin(), text.end(), kSeries), end; it != end; ++it) names.insert((*it)[1]);
  return names;
}

TEST(Deploy, FilesUseNamesThatAreExported) {
  const std::set<std::string> exported = exported_names();
  EXPECT_GT(exported.size(), 50u);
  size_t used = 0;
  for (const char* file : {"quern-alerts.yml", "quern-alerts.test.yml", "quern-dashboard.json", "README.md"}) {
    const auto text = read_text_file(kDeploy + file, 1 << 20);
    ASSERT_TRUE(text) << text.error().message;
    static const std::regex kName("quern_[a-z_]+");
    for (std::sregex_iterator it(text->begin(), text->end(), kName), end; it != end; ++it, ++used) {
      EXPECT_TRUE(exported.count(it->str())) << file << ": " << it->str();
    }
  }
  EXPECT_GT(used, 60u);
}

TEST(Deploy, TheDashboardIsSound) {
  const auto text = read_text_file(kDeploy + "quern-dashboard.json", 1 << 20);
  ASSERT_TRUE(text) << text.error().message;
  const auto board = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(board.is_object());
  std::set<int> ids;
  size_t queries = 0;
  for (const auto& panel : board.at("panels")) {
    EXPECT_TRUE(ids.insert(panel.at("id").get<int>()).second);
    const auto& place = panel.at("gridPos");
    EXPECT_LE(place.at("x").get<int>() + place.at("w").get<int>(), 24);
    if (panel.at("type") == "row") continue;
    EXPECT_FALSE(panel.at("targets").empty()) << panel.at("title");
    for (const auto& target : panel.at("targets")) {
      ++queries;
      EXPECT_THAT(target.at("expr").get<std::string>(), HasSubstr("quern_"));
    }
  }
  EXPECT_GT(queries, 20u);
}

// systemd kills what has not ended by then: it must leave quern the time to drain.
TEST(Deploy, TheUnitLeavesTimeToDrain) {
  const auto text = read_text_file(kDeploy + "quern.service", 1 << 20);
  ASSERT_TRUE(text) << text.error().message;
  std::smatch match;
  ASSERT_TRUE(std::regex_search(*text, match, std::regex("\nTimeoutStopSec=([0-9]+)\n")));
  EXPECT_GT(std::stod(match[1]), ServerConfig().drain_timeout.seconds);
  ASSERT_TRUE(std::regex_search(*text, match, std::regex("\nLimitNOFILE=([0-9]+)\n")));
  EXPECT_GT(std::stod(match[1]), ServerConfig().max_connections);
}

}  // namespace
}  // namespace quern::server
