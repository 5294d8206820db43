#include "hub/catalogue.h"

namespace quern::hub {

std::span<const CatalogueModel> catalogue() {
  static const std::vector<CatalogueModel> models = {
#define QUERN_MODEL(name, file, bytes, sha256, licence, notice, ...) \
  {name, file, bytes, sha256, licence, notice, {__VA_ARGS__}},
#define QUERN_ALIAS(name, model)
#define QUERN_PREFERRED(tag)
#include "hub/catalogue.def"
#undef QUERN_MODEL
#undef QUERN_ALIAS
#undef QUERN_PREFERRED
  };
  return models;
}

std::span<const Alias> aliases() {
  static constexpr Alias kAliases[] = {
#define QUERN_MODEL(...)
#define QUERN_ALIAS(name, model) {name, model},
#define QUERN_PREFERRED(tag)
#include "hub/catalogue.def"
#undef QUERN_MODEL
#undef QUERN_ALIAS
#undef QUERN_PREFERRED
  };
  return kAliases;
}

std::span<const std::string_view> preferred_tags() {
  static constexpr std::string_view kTags[] = {
#define QUERN_MODEL(...)
#define QUERN_ALIAS(name, model)
#define QUERN_PREFERRED(tag) tag,
#include "hub/catalogue.def"
#undef QUERN_MODEL
#undef QUERN_ALIAS
#undef QUERN_PREFERRED
  };
  return kTags;
}

const CatalogueModel* find_model(std::string_view name) {
  for (const Alias& alias : aliases()) {
    if (alias.name == name) name = alias.model;
  }
  for (const CatalogueModel& model : catalogue()) {
    if (model.name == name) return &model;
  }
  return nullptr;
}

}  // namespace quern::hub
