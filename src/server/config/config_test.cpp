// The table of options, its text forms, and quern.yaml: precedence, places of mistakes, hostile files.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "config/text_file.h"
#include "config/yaml_tree.h"
#include "server/auth/api_keys.h"
#include "server/config/describe.h"
#include "server/config/load.h"

namespace quern::server {
namespace {

ConfigReading read_yaml(std::string_view text, const ConfigSources& sources = {}) {
  return read_config_text("quern.yaml", text, sources);
}

std::string messages(const std::vector<ConfigProblem>& problems) {
  std::string text;
  for (const ConfigProblem& problem : problems) text += (problem.warning ? "warning: " : "") + problem.message + "\n";
  return text;
}

std::string problems_of(std::string_view text) {
  return messages(read_yaml(text).problems);
}

std::string value_of(const ConfigReading& reading, std::string_view key) {
  for (const EffectiveValue& value : reading.values) {
    if (value.key == key) return value.value + " (" + value.origin + ")";
  }
  return "absent";
}

// A file of this test, gone with it.
class TestFile {
 public:
  explicit TestFile(std::string_view contents) {
    static int count = 0;
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = testing::TempDir() + "quern_" + test->name() + std::to_string(++count);
    std::ofstream(path_) << contents;
  }
  ~TestFile() { std::filesystem::remove(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(ConfigValues, DurationsReadAndPrint) {
  for (const auto& [text, seconds] : std::initializer_list<std::pair<const char*, double>>{{"300", 300},
                                                                                           {"0", 0},
                                                                                           {"1.5", 1.5},
                                                                                           {"5m", 300},
                                                                                           {"1h30m", 5400},
                                                                                           {"250ms", 0.25},
                                                                                           {"2d", 172800},
                                                                                           {"1m30s", 90},
                                                                                           {"1.5h", 5400},
                                                                                           {"1s500ms", 1.5}}) {
    const auto value = parse_duration(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(value->seconds, seconds) << text;
    EXPECT_EQ(parse_duration(duration_text(*value))->seconds, seconds) << duration_text(*value);
  }
  EXPECT_EQ(duration_text({5400}), "1h30m");
  EXPECT_EQ(duration_text({0.25}), "250ms");
  EXPECT_EQ(duration_text({INFINITY}), "forever");
  for (const char* text : {"", "m", "5x", "30m1h", "1h1h", "1h30", "-5", "inf", "nan", "1e3", "5 m", "1..5", "0x10"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(ConfigValues, SizesReadAndPrint) {
  for (const auto& [text, bytes] :
       std::initializer_list<std::pair<const char*, uint64_t>>{{"0", 0},
                                                               {"1048577", 1048577},
                                                               {"2GiB", uint64_t{2} << 30},
                                                               {"512MB", 512000000},
                                                               {"1.5KiB", 1536},
                                                               {"9000000000000000001", 9000000000000000001u},
                                                               {"1TiB", uint64_t{1} << 40},
                                                               {"10B", 10}}) {
    const auto value = parse_bytes(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(*value, bytes) << text;
    EXPECT_EQ(parse_bytes(bytes_text(bytes)).value_or(1), bytes);
  }
  EXPECT_EQ(bytes_text(uint64_t{8} << 30), "8GiB");
  for (const char* text : {"", "GiB", "2G", "-1", "1e9", "18446744073709551616", "9999999TiB", "1GiB2", "2 GiB", "."}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
  }
}

TEST(ConfigTable, NamesAreUniqueAndDefaultsAreWithinBounds) {
  ServerConfig config;
  std::set<std::string> keys;
  for (const ConfigField& field : server_fields(config)) {
    EXPECT_TRUE(keys.insert(std::string(field.key)).second) << field.key;
    EXPECT_FALSE(field.help.empty() || field.help.ends_with('.')) << field.key;
    if (is_list(field)) continue;
    const std::string before = value_text(field);
    EXPECT_TRUE(assign(field, std::vector{before})) << field.key;
    EXPECT_EQ(value_text(field), before) << field.key;
  }
  EXPECT_GT(keys.size(), 40u);
}

// Of every option: its bounds are taken, what is just outside is refused and changes nothing.
TEST(ConfigTable, BoundsHold) {
  ServerConfig config;
  for (const ConfigField& field : server_fields(config)) {
    const auto takes = [&](const std::string& text) { return assign(field, std::vector{text}).has_value(); };
    const ConfigLimits& limits = field.limits;
    const bool number = std::holds_alternative<uint32_t*>(field.to) || std::holds_alternative<double*>(field.to);
    const bool duration = std::holds_alternative<Duration*>(field.to);
    const bool size = std::holds_alternative<ByteLimit*>(field.to);
    if (number || duration || size) {
      const auto text = [](double v) { return fmt::format("{:.0f}", v); };
      if (std::isfinite(limits.max)) {
        EXPECT_TRUE(takes(text(limits.max))) << field.key;
        EXPECT_FALSE(takes(text(limits.max + 1))) << field.key;
      } else {
        EXPECT_FALSE(takes(size ? "9999999TiB" : "99999999999999999999999999x")) << field.key;
      }
      if (limits.min == std::floor(limits.min)) {
        EXPECT_TRUE(takes(text(limits.min))) << field.key;
      }
      if (limits.min > 0) {
        EXPECT_FALSE(takes("0")) << field.key;
      }
      const std::string before = value_text(field);
      for (const char* wrong : {"-1", "nan", "x", "", "1 ", " 1", "0x1", "1e999"}) {
        EXPECT_FALSE(takes(wrong)) << field.key << " " << wrong;
      }
      EXPECT_EQ(value_text(field), before) << field.key;
    }
    for (const std::string_view word : limits.words) EXPECT_TRUE(takes(std::string(word))) << field.key << " " << word;
    if (!limits.words.empty()) {
      EXPECT_FALSE(takes("neither")) << field.key;
    }
    if (std::holds_alternative<bool*>(field.to)) {
      EXPECT_FALSE(takes("yes")) << field.key;
    }
  }
}

TEST(Config, LaterSourcesWin) {
  const ConfigSources sources{.file = {}, .models = {}, .flags = {{"port", {"9000"}}, {"n_ctx", {"1024"}}}};
  const ConfigReading reading = read_yaml(
      "models:\n"
      "  - tiny.gguf\n"
      "  - model: chat.gguf\n"
      "    name: chat\n"
      "    n_ctx: 4096\n"
      "    keep_alive: forever\n"
      "serve:\n"
      "  port: 11434\n"
      "  n_batch: 256\n"
      "  log: text\n"
      "  kv_memory: 2GiB\n"
      "  cors_origins: [https://a.example, https://b.example]\n",
      sources);
  EXPECT_EQ(messages(reading.problems), "");
  const ServerConfig& c = reading.config;
  EXPECT_EQ(c.port, 9000u);
  EXPECT_EQ(c.log, LogFormat::kText);
  EXPECT_EQ(c.cors_origins, (std::vector<std::string>{"https://a.example", "https://b.example"}));
  EXPECT_EQ(c.defaults.kv_memory, (ByteLimit{ByteLimit::Kind::kBytes, uint64_t{2} << 30}));
  ASSERT_EQ(c.models.size(), 2u);
  EXPECT_EQ(c.models[0].model, "tiny.gguf");
  EXPECT_EQ(c.models[0].settings.n_batch, 256u);
  EXPECT_EQ(c.models[1].name, "chat");
  EXPECT_EQ(c.models[1].settings.n_ctx, 1024u);  // the flag wins
  EXPECT_EQ(c.models[1].settings.n_batch, 256u);
  EXPECT_TRUE(std::isinf(c.models[1].settings.keep_alive.seconds));
  EXPECT_EQ(c.defaults.keep_alive.seconds, 300);

  EXPECT_EQ(value_of(reading, "port"), "9000 (--port)");
  EXPECT_EQ(value_of(reading, "n_batch"), "256 (quern.yaml:9)");
  EXPECT_EQ(value_of(reading, "host"), "127.0.0.1 (default)");
  EXPECT_EQ(value_of(reading, "models[0].model"), "tiny.gguf (quern.yaml:2)");
  EXPECT_EQ(value_of(reading, "models[1].keep_alive"), "forever (quern.yaml:6)");
  EXPECT_EQ(value_of(reading, "models[1].n_ctx"), "1024 (--n-ctx)");
  EXPECT_EQ(value_of(reading, "models[1].n_batch"), "256 (quern.yaml:9)");
}

TEST(Config, ModelsOfTheCommandLineReplaceTheFiles) {
  const ConfigSources sources{.file = {}, .models = {"a.gguf", "b.gguf"}, .flags = {}};
  const ConfigReading reading = read_yaml("models: [c.gguf]\n", sources);
  EXPECT_EQ(messages(reading.problems), "warning: the models of the command line replace the 1 of quern.yaml\n");
  ASSERT_EQ(reading.config.models.size(), 2u);
  EXPECT_EQ(value_of(reading, "models[1].model"), "b.gguf (command line)");
  EXPECT_EQ(value_of(reading, "models[2].model"), "absent");
}

TEST(Config, SaysEverythingThatIsWrongWithItsPlace) {
  EXPECT_EQ(
      problems_of("serve:\n"
                  "  prot: 80\n"
                  "  port: 70000\n"
                  "  n_parallel: \"64\"\n"
                  "  metrics: yes\n"
                  "  max_itl_ms: [1]\n"
                  "  log: xml\n"
                  "  kv_memory: 2G\n"
                  "  host:\n"
                  "  keep_alive: 5 minutes\n"
                  "modles: []\n"
                  "llm:\n  model_path: x\n"
                  "n_ctx: 5\n"
                  "models:\n"
                  "  - model: a.gguf\n    nctx: 5\n    port: 1\n"
                  "  - name: b\n"
                  "  - [c]\n"),
      "quern.yaml:2:3: serve has no option 'prot': did you mean port?\n"
      "quern.yaml:3:9: port wants a whole number from 0 to 65535, not '70000'\n"
      "quern.yaml:4:15: n_parallel wants a whole number from 1 to 4096, not a text in quotes\n"
      "quern.yaml:5:12: metrics wants true or false, not 'yes'\n"
      "quern.yaml:6:15: max_itl_ms wants a number from 0 to 60000, not a list\n"
      "quern.yaml:7:8: log wants one of json, text, none, not 'xml'\n"
      "quern.yaml:8:14: kv_memory wants a size (512MB, 2GiB) of at least 1MiB, or auto, not '2G'\n"
      "quern.yaml:9:3: host wants a text, not nothing\n"
      "quern.yaml:10:15: keep_alive wants a duration (300, 5m, 1h30m) from 0 to 365d, or forever, not '5 minutes'\n"
      "quern.yaml:11:1: this version has no section 'modles', only models and serve: did you mean models?\n"
      "quern.yaml:12:1: this version has no section 'llm', only models and serve\n"
      "quern.yaml:14:1: this version has no section 'n_ctx', only models and serve: n_ctx belongs under serve\n"
      "quern.yaml:17:5: a model has no option 'nctx': did you mean n_ctx?\n"
      "quern.yaml:18:5: a model has no option 'port': it goes for all models, under serve\n"
      "quern.yaml:19:5: a model without 'model', a GGUF file or a name from quern list\n"
      "quern.yaml:20:5: a model is a text, or a map with the key model, not a list\n");
}

TEST(Config, RefusesWrongShapes) {
  EXPECT_EQ(problems_of("- a\n"), "quern.yaml:1:1: the file wants options as KEY: VALUE, not a list\n");
  EXPECT_EQ(problems_of("serve: 5\n"), "quern.yaml:1:8: serve wants options as KEY: VALUE, not a value\n");
  EXPECT_EQ(problems_of("models: a\n"),
            "quern.yaml:1:9: models wants a list, each '- MODEL' or '- model: MODEL', not a value\n");
  EXPECT_EQ(problems_of("models: [a, {model: b, name: a}]\n"), "models[0] and models[1] are both called 'a'\n");
  EXPECT_EQ(problems_of("models: [a, default]\n"),
            "models[1] is called 'default': that is another name of the first model\n");
  EXPECT_EQ(problems_of(""), "");
  EXPECT_EQ(problems_of("# nothing\n"), "");
  EXPECT_EQ(problems_of("serve:\nmodels:\n"), "");
}

TEST(Config, FlagsAreChecked) {
  const ConfigSources sources{
      .file = {}, .models = {}, .flags = {{"port", {"x"}}, {"nothing", {"1"}}, {"max_n", {"1", "2"}}}};
  EXPECT_EQ(messages(read_config(sources).problems),
            "--port wants a whole number from 0 to 65535, not 'x'\n"
            "'nothing' is not an option of the server\n"
            "--max-n wants one value, not 2\n");
  const auto config = load_config(sources, nullptr);
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message.find("--port wants"), std::string::npos);
  EXPECT_NE(config.error().message.find("\n--max-n"), std::string::npos);
}

TEST(Config, LoadsAFile) {
  const TestFile file("models: [x]\nserve: {port: 1234}\n");
  std::vector<std::string> warnings;
  const auto config = load_config({.file = file.path(), .models = {"y"}, .flags = {}}, &warnings);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->port, 1234u);
  EXPECT_EQ(config->models.at(0).model, "y");
  EXPECT_EQ(warnings.size(), 1u);
  const auto absent = load_config({.file = "no/such/quern.yaml", .models = {}, .flags = {}}, nullptr);
  ASSERT_FALSE(absent);
  EXPECT_NE(absent.error().message.find("no/such/quern.yaml"), std::string::npos);
}

TEST(Yaml, RefusesWhatCouldGrowOrMislead) {
  const auto error = [](std::string_view text) {
    const auto tree = parse_yaml(text);
    return tree ? std::string("taken") : tree.error().message;
  };
  EXPECT_EQ(error("a: 1\nb: 2\na: 3\n"), "3:1: 'a' is given twice; first in line 1");
  EXPECT_EQ(error("a: &x [1]\nb: *x\n"), "1:4: anchors (&name) are not allowed here");
  EXPECT_EQ(error("a: !!int 5\n"), "1:4: tags (!name) are not allowed here");
  EXPECT_EQ(error("a: 1\n---\nb: 2\n").substr(2), "1: a second document begins here: a configuration is one");
  EXPECT_EQ(error("? [a]\n: 1\n"), "1:3: a key must be a name, not a list");
  EXPECT_EQ(error("a: \x01\n"), "1:4: a control character");
  EXPECT_EQ(error("b: 1\na: \xff\n"), "2:4: not UTF-8 text");
  EXPECT_EQ(error(std::string(9, '[') + std::string(9, ']')), "1:9: nested deeper than 8 levels");
  EXPECT_EQ(error(std::string(8, '[') + std::string(8, ']')), "taken");
  EXPECT_NE(error(std::string(200000, '[')), "taken");
  EXPECT_NE(error("a: [1\nb: 2\n"), "taken");
  EXPECT_EQ(error("a: \"x\nb: 1\n"), "1:4: this quote is not closed");
  EXPECT_EQ(error("é: 1\na: 'it''s\n"), "2:4: this quote is not closed");
  EXPECT_EQ(error("\xEF\xBB\xBFé: 'it''s'\nb: \"\\\"\"\nc: ''\n"), "taken");
  EXPECT_EQ(error(std::string(kMaxYamlBytes + 1, ' ')).substr(0, 5), "1:1: ");
  std::string many = "[";
  for (size_t i = 0; i <= kMaxYamlNodes; ++i) many += "1,";
  EXPECT_NE(error(many + "]").find("more than 20000 values"), std::string::npos);
}

TEST(Yaml, KeepsPlacesAndQuotes) {
  const auto tree = parse_yaml("a:\n  - 'x'\n  - y\n");
  ASSERT_TRUE(tree);
  const YamlNode& list = tree->entries.at(0).value;
  EXPECT_TRUE(list.items.at(0).quoted);
  EXPECT_FALSE(list.items.at(1).quoted);
  EXPECT_EQ(list.items.at(1).line, 3);
  EXPECT_EQ(list.items.at(1).column, 5);
}

TEST(ConfigCheck, SeesWhatTheOptionsMeanTogether) {
  const auto checked = [](auto&& change) {
    ServerConfig config;
    change(config);
    return messages(check_config(config));
  };
  const auto has = [](const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos ? testing::AssertionSuccess() : testing::AssertionFailure() << text;
  };
  EXPECT_EQ(checked([](ServerConfig&) {}), "");
  EXPECT_EQ(checked([](ServerConfig& c) { c.host = "localhost"; }), "");
  EXPECT_TRUE(has(checked([](ServerConfig& c) { c.host = "0.0.0.0"; }), "warning: 0.0.0.0 can be reached"));
  EXPECT_TRUE(
      has(checked([](ServerConfig& c) { c.tls_key = "none.pem"; }), "tls_key is given without tls_certificate"));
  EXPECT_TRUE(has(checked([](ServerConfig& c) { c.tls_key = "none.pem"; }), "tls_key: none.pem"));
  EXPECT_TRUE(has(checked([](ServerConfig& c) { c.api_keys = "no/keys"; }), "api_keys: no/keys"));
  EXPECT_TRUE(has(checked([](ServerConfig& c) { c.metrics_key = true; }), "metrics_key wants api_keys"));
  EXPECT_TRUE(has(checked([](ServerConfig& c) { c.cors_origins = {"https://a.example/"}; }), "is no origin"));
  EXPECT_EQ(checked([](ServerConfig& c) { c.cors_origins = {"https://a.example:8443", "http://localhost"}; }), "");
  EXPECT_TRUE(
      has(checked([](ServerConfig& c) { c.kv_dir_limit.bytes = 1 << 30; }), "warning: kv_dir_limit has no effect"));
  EXPECT_TRUE(has(checked([](ServerConfig& c) {
                    c.log = LogFormat::kNone;
                    c.log_prompts = true;
                  }),
                  "log_prompts has no"));
  EXPECT_TRUE(has(checked([](ServerConfig& c) { c.openai_api = c.ollama_api = false; }), "both off"));
  EXPECT_TRUE(has(checked([](ServerConfig& c) {
                    c.memory_limit = {ByteLimit::Kind::kBytes, 1 << 20};
                    c.defaults.kv_memory = {ByteLimit::Kind::kBytes, 2 << 20};
                  }),
                  "serve: kv_memory 2MiB is more than memory_limit 1MiB"));
  EXPECT_TRUE(has(checked([](ServerConfig& c) { c.models.push_back({"m", "", {.n_ctx = 512, .max_tokens = 512}}); }),
                  "models[0]: max_tokens 512 leaves no place"));
}

TEST(ConfigCheck, OpensTheFilesThatAreNamed) {
  const TestFile keys("alice sha256:zz\n");
  const TestFile pem("no certificate\n");
  ServerConfig config;
  config.api_keys = keys.path();
  config.tls_certificate = config.tls_key = pem.path();
  const std::string text = messages(check_config(config));
  EXPECT_NE(text.find(keys.path() + ":1: after the name"), std::string::npos) << text;
  EXPECT_NE(text.find("tls_key: " + pem.path() + " is not a PEM file"), std::string::npos) << text;

  const TestFile yaml("serve:\n  api_keys: " + keys.path() + "\n");
  EXPECT_EQ(check({.file = yaml.path(), .models = {}, .flags = {}}).size(), 1u);
}

// The files in the repository that are made from the table. On a difference the new text is left beside the tests.
void expect_file(const std::string& name, const std::string& contents) {
  const auto text = read_text_file(std::string(QUERN_SOURCE_DIR) + "/" + name, 1 << 20);
  if (text && *text == contents) return;
  const std::string made = testing::TempDir() + std::filesystem::path(name).filename().string();
  std::ofstream(made) << contents;
  ADD_FAILURE() << name << " is not what the table of options says: cp " << made << " " << name;
}

TEST(ConfigDocs, FilesFollowTheTable) {
  expect_file("docs/server-options.md", options_markdown());
  expect_file("deploy/quern.yaml", example_yaml());
}

TEST(ConfigDocs, TheExampleIsSoundWithAndWithoutItsComments) {
  EXPECT_EQ(problems_of(example_yaml()), "");
  std::string all;
  size_t options = 0;
  const std::string example = example_yaml();
  for (size_t at = 0; at < example.size();) {
    const size_t end = example.find('\n', at);
    std::string line = example.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("  #") && line.size() > 3 && line[3] != ' ') {
      line.erase(2, 1);
      ++options;
    }
    all += line + "\n";
  }
  const ConfigReading reading = read_yaml(all);
  EXPECT_EQ(messages(reading.problems), "");
  ServerConfig defaults, config = reading.config;
  const auto expected = server_fields(defaults), got = server_fields(config);
  EXPECT_EQ(options, expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(value_text(got[i]), value_text(expected[i])) << got[i].key;
  }
  for (const EffectiveValue& value : reading.values) EXPECT_NE(value.origin, "default") << value.key;
}

}  // namespace
}  // namespace quern::server
