#include "server/config/load.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/nearest.h"
#include "config/text_file.h"
#include "config/yaml_tree.h"

namespace quern::server {

namespace {

constexpr size_t kMaxModels = 256;
constexpr std::string_view kModelsKey = "models", kServeKey = "serve";

class Reader {
 public:
  Reader(std::string_view file, const ConfigSources& sources) : file_(file), sources_(sources) {}

  ConfigReading read(std::string_view text) {
    fields_ = server_fields(out_.config);
    YamlNode root;
    if (!file_.empty()) {
      if (auto parsed = parse_yaml(text)) {
        root = std::move(*parsed);
      } else {
        add_problem(fmt::format("{}:{}", file_, parsed.error().message));
      }
    }
    const YamlNode* models = nullptr;
    if (is_map(root, "the file")) {
      for (const YamlEntry& entry : root.entries) {
        if (entry.key.text == kServeKey) {
          read_options(entry.value, fields_, "serve", {});
        } else if (entry.key.text == kModelsKey) {
          models = &entry.value;
        } else {
          unknown_section(entry.key);
        }
      }
    }
    for (const ConfigFlag& flag : sources_.flags) read_flag(flag);
    for (const ConfigField& field : fields_) add_value(std::string(field.key), field, origin_of(field.key));
    // The list comes last: its entries begin as what has been said of all models.
    if (models != nullptr) read_models(*models);
    if (!sources_.models.empty()) take_named_models();
    check_names();
    return std::move(out_);
  }

 private:
  void add_problem(std::string message, bool warning = false) {
    out_.problems.push_back({warning, std::move(message)});
  }
  void add_problem_at(const YamlNode& node, std::string_view message) {
    add_problem(fmt::format("{}:{}:{}: {}", file_, node.line, node.column, message));
  }
  void add_value(std::string key, const ConfigField& field, std::string origin) {
    out_.values.push_back({std::move(key), value_text(field), std::move(origin)});
  }
  std::string place(const YamlNode& node) const { return fmt::format("{}:{}", file_, node.line); }
  std::string origin_of(std::string_view key) const {
    const auto at = origins_.find(key);
    return at == origins_.end() ? "default" : at->second;
  }

  // False says that there is nothing to go through; a map that is left empty, as all comments, is no mistake.
  bool is_map(const YamlNode& node, std::string_view what) {
    if (node.kind == YamlNode::Kind::kMap) return true;
    if (node.kind != YamlNode::Kind::kNull) {
      add_problem_at(node, fmt::format("{} wants options as KEY: VALUE, not {}", what, yaml_kind_name(node.kind)));
    }
    return false;
  }

  void unknown_section(const YamlNode& key) {
    constexpr std::array kSections = {kModelsKey, kServeKey};
    std::string message = fmt::format("this version has no section '{}', only models and serve", key.text);
    if (const auto nearest = nearest_name(key.text, kSections)) {
      message += fmt::format(": did you mean {}?", *nearest);
    } else if (find(fields_, key.text) != nullptr) {
      message += fmt::format(": {} belongs under serve", key.text);
    }
    add_problem_at(key, message);
  }

  static const ConfigField* find(const std::vector<ConfigField>& fields, std::string_view key) {
    const auto at = std::find_if(fields.begin(), fields.end(), [&](const ConfigField& f) { return f.key == key; });
    return at == fields.end() ? nullptr : &*at;
  }

  void unknown_option(const YamlNode& key, const std::vector<ConfigField>& fields, std::string_view section,
                      std::span<const std::string_view> more) {
    std::vector<std::string_view> known(more.begin(), more.end());
    for (const ConfigField& field : fields) known.push_back(field.key);
    std::string message = fmt::format("{} has no option '{}'", section, key.text);
    if (const auto nearest = nearest_name(key.text, known)) {
      message += fmt::format(": did you mean {}?", *nearest);
    } else if (find(fields_, key.text) != nullptr) {
      message += ": it goes for all models, under serve";
    }
    add_problem_at(key, message);
  }

  // Sets a field from its node. False after a problem.
  bool read_value(const ConfigField& field, const YamlNode& node) {
    std::vector<std::string> texts;
    if (node.kind == YamlNode::Kind::kScalar) {
      texts.push_back(node.text);
    } else if (node.kind == YamlNode::Kind::kList && is_list(field)) {
      for (const YamlNode& item : node.items) {
        if (item.kind != YamlNode::Kind::kScalar) {
          add_problem_at(item,
                         fmt::format("{} wants a list of texts, not of {}", field.key, yaml_kind_name(item.kind)));
          return false;
        }
        texts.push_back(item.text);
      }
    } else {
      add_problem_at(node, fmt::format("{} wants {}, not {}", field.key, wanted(field), yaml_kind_name(node.kind)));
      return false;
    }
    const bool number = std::holds_alternative<uint32_t*>(field.to) || std::holds_alternative<double*>(field.to) ||
                        std::holds_alternative<bool*>(field.to);
    if (number && node.quoted) {
      add_problem_at(node, fmt::format("{} wants {}, not a text in quotes", field.key, wanted(field)));
      return false;
    }
    const Status status = assign(field, texts);
    if (!status) add_problem_at(node, fmt::format("{} {}", field.key, status.error().message));
    return status.has_value();
  }

  // `more`: keys of the map that are not options.
  void read_options(const YamlNode& map, const std::vector<ConfigField>& fields, std::string_view section,
                    std::span<const std::string_view> more) {
    if (!is_map(map, section)) return;
    for (const YamlEntry& entry : map.entries) {
      if (std::find(more.begin(), more.end(), entry.key.text) != more.end()) continue;
      const ConfigField* field = find(fields, entry.key.text);
      if (field == nullptr) {
        unknown_option(entry.key, fields, section, more);
      } else if (read_value(*field, entry.value) && &fields == &fields_) {
        origins_[field->key] = place(entry.key);
      }
    }
  }

  void read_flag(const ConfigFlag& flag) {
    const ConfigField* field = find(fields_, flag.key);
    if (field == nullptr) {
      add_problem(fmt::format("'{}' is not an option of the server", flag.key));
      return;
    }
    if (const Status status = assign(*field, flag.texts); !status) {
      add_problem(fmt::format("{} {}", flag_of(*field), status.error().message));
      return;
    }
    origins_[field->key] = flag_of(*field);
  }

  void read_models(const YamlNode& list) {
    if (list.kind == YamlNode::Kind::kNull) return;
    if (list.kind != YamlNode::Kind::kList) {
      add_problem_at(list, fmt::format("models wants a list, each '- MODEL' or '- model: MODEL', not {}",
                                       yaml_kind_name(list.kind)));
      return;
    }
    if (list.items.size() > kMaxModels) {
      add_problem_at(list, fmt::format("{} models; at most {}", list.items.size(), kMaxModels));
      return;
    }
    for (const YamlNode& item : list.items) read_model(item);
  }

  void read_model(const YamlNode& item) {
    ModelConfig model{.model = {}, .name = {}, .settings = out_.config.defaults};
    constexpr std::string_view kOwn[] = {"model", "name"};
    if (item.kind == YamlNode::Kind::kScalar) {
      model.model = item.text;
    } else if (item.kind != YamlNode::Kind::kMap) {
      add_problem_at(item,
                     fmt::format("a model is a text, or a map with the key model, not {}", yaml_kind_name(item.kind)));
      return;
    } else {
      for (const YamlEntry& entry : item.entries) {
        if (entry.key.text != kOwn[0] && entry.key.text != kOwn[1]) continue;
        const ConfigField field{{}, entry.key.text, entry.key.text == kOwn[0] ? &model.model : &model.name, {}};
        read_value(field, entry.value);
      }
      read_options(item, model_fields(model.settings), "a model", kOwn);
    }
    if (model.model.empty()) {
      add_problem_at(item, "a model without 'model', a GGUF file or a name from quern list");
      return;
    }
    list_model(model, place(item), &item);
    out_.config.models.push_back(std::move(model));
  }

  // Gives the flags their precedence, and notes the values with their origins.
  void list_model(ModelConfig& model, const std::string& origin, const YamlNode* item) {
    const std::string prefix = fmt::format("models[{}].", out_.config.models.size());
    out_.values.push_back({prefix + "model", model.model, origin});
    out_.values.push_back({prefix + "name", model.name.empty() ? model.model : model.name, origin});
    const auto general = model_fields(out_.config.defaults);
    const auto own = model_fields(model.settings);
    for (size_t i = 0; i < own.size(); ++i) {
      std::string from = origin_of(own[i].key);
      const YamlEntry* entry = nullptr;
      if (item != nullptr) {
        const auto at = std::find_if(item->entries.begin(), item->entries.end(),
                                     [&](const YamlEntry& e) { return e.key.text == own[i].key; });
        if (at != item->entries.end()) entry = &*at;
      }
      if (from.starts_with("--")) {
        const std::string text = value_text(general[i]);
        (void)assign(own[i], std::span(&text, 1));  // a value's own text is within its bounds
      } else if (entry != nullptr) {
        from = place(entry->key);
      }
      add_value(prefix + std::string(own[i].key), own[i], from);
    }
  }

  void take_named_models() {
    if (!out_.config.models.empty()) {
      add_problem(fmt::format("the models of the command line replace the {} of {}", out_.config.models.size(), file_),
                  /*warning=*/true);
      out_.config.models.clear();
      std::erase_if(out_.values, [](const EffectiveValue& v) { return v.key.starts_with("models["); });
    }
    for (const std::string& name : sources_.models) {
      ModelConfig model{.model = name, .name = {}, .settings = out_.config.defaults};
      list_model(model, "command line", nullptr);
      out_.config.models.push_back(std::move(model));
    }
  }

  void check_names() {
    std::map<std::string, size_t, std::less<>> seen;
    for (size_t i = 0; i < out_.config.models.size(); ++i) {
      const ModelConfig& model = out_.config.models[i];
      const std::string& name = model.name.empty() ? model.model : model.name;
      const auto [at, fresh] = seen.emplace(name, i);
      if (!fresh) add_problem(fmt::format("models[{}] and models[{}] are both called '{}'", at->second, i, name));
      if (i > 0 && name == "default") {
        add_problem(fmt::format("models[{}] is called 'default': that is another name of the first model", i));
      }
    }
  }

  std::string file_;
  const ConfigSources& sources_;
  ConfigReading out_;
  std::vector<ConfigField> fields_;
  std::map<std::string_view, std::string> origins_;
};

}  // namespace

ConfigReading read_config_text(std::string_view name, std::string_view text, const ConfigSources& sources) {
  return Reader(name, sources).read(text);
}

ConfigReading read_config(const ConfigSources& sources) {
  if (sources.file.empty()) return read_config_text("", "", sources);
  const auto text = read_text_file(sources.file, kMaxYamlBytes);
  if (text) return read_config_text(sources.file, *text, sources);
  ConfigReading reading = read_config_text("", "", sources);
  reading.problems.insert(reading.problems.begin(), {false, text.error().message});
  return reading;
}

Result<ServerConfig> load_config(const ConfigSources& sources, std::vector<std::string>* warnings) {
  ConfigReading reading = read_config(sources);
  std::string errors;
  for (const ConfigProblem& problem : reading.problems) {
    if (!problem.warning) {
      errors += (errors.empty() ? "" : "\n") + problem.message;
    } else if (warnings != nullptr) {
      warnings->push_back(problem.message);
    }
  }
  if (!errors.empty()) return fail(ErrorCode::kInvalidArgument, std::move(errors));
  return std::move(reading.config);
}

std::vector<ConfigProblem> check(const ConfigSources& sources) {
  ConfigReading reading = read_config(sources);
  const bool sound = std::all_of(reading.problems.begin(), reading.problems.end(), [](auto& p) { return p.warning; });
  if (sound) {
    for (ConfigProblem& problem : check_config(reading.config)) reading.problems.push_back(std::move(problem));
  }
  return std::move(reading.problems);
}

}  // namespace quern::server
