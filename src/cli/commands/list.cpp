// quern list: the catalogue, what of it is here, and what else is in the cache folder.
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "hub/cache.h"
#include "hub/catalogue.h"

namespace quern::cli {

namespace {

struct ListOptions {
  bool json = false;

  std::vector<Field> fields() { return {{"--json", &json, "Print one JSON object"}}; }
};

struct Row {
  std::string name;
  uint64_t bytes = 0;
  std::string path;  // empty: not here yet
  std::string licence;
  std::vector<std::string> aliases;
};

std::vector<Row> rows_of(const std::vector<hub::CachedModel>& cached) {
  std::vector<Row> rows;
  for (const hub::CatalogueModel& model : hub::catalogue()) {
    Row row{.name = std::string(model.name),
            .bytes = model.bytes,
            .path = {},
            .licence = std::string(model.licence),
            .aliases = {}};
    for (const hub::Alias& alias : hub::aliases()) {
      if (alias.model == model.name) row.aliases.emplace_back(alias.name);
    }
    for (const hub::CachedModel& here : cached) {
      if (here.name == row.name && here.bytes == row.bytes) row.path = here.path;
    }
    rows.push_back(std::move(row));
  }
  for (const hub::CachedModel& here : cached) {
    if (hub::find_model(here.name) == nullptr)
      rows.push_back({.name = here.name, .bytes = here.bytes, .path = here.path, .licence = {}, .aliases = {}});
  }
  return rows;
}

std::string label(const Row& row) {
  std::string text = row.name;
  for (const std::string& alias : row.aliases) text += fmt::format(" ({})", alias);
  return text;
}

}  // namespace

int list_command(Context& context) {
  ListOptions options;
  if (auto code = context.parse(options, "  quern list\n  quern list --json\n")) return *code;
  const auto settings = hub::hub_options_from_environment();
  if (!settings) return context.failed(settings.error());
  const auto cached = hub::cached_models(*settings);
  if (!cached) return context.failed(cached.error());
  const std::vector<Row> rows = rows_of(*cached);
  if (options.json) {
    auto models = nlohmann::json::array();
    for (const Row& row : rows) {
      models.push_back({{"name", row.name},
                        {"aliases", row.aliases},
                        {"bytes", row.bytes},
                        {"present", !row.path.empty()},
                        {"path", row.path.empty() ? nlohmann::json() : nlohmann::json(row.path)},
                        {"licence", row.licence.empty() ? nlohmann::json() : nlohmann::json(row.licence)}});
    }
    context.print_json({{"folder", settings->models_dir()}, {"models", models}});
    return kExitOk;
  }
  size_t width = 0;
  for (const Row& row : rows) width = std::max(width, label(row).size());
  for (const Row& row : rows) {
    context.print(fmt::format("{:<{}}  {:>9.1f} MB  {}\n", label(row), width, static_cast<double>(row.bytes) / 1e6,
                              row.path.empty() ? "not here: quern pull " + row.name : row.path));
  }
  return kExitOk;
}

}  // namespace quern::cli
