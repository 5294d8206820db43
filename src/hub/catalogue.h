// The catalogue: models that have a name, by catalogue.def. Constant data; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace quern::hub {

struct PackagePart {
  std::string_view package;
  std::string_view version;
  std::string_view member;  // path inside the wheel
};

struct CatalogueModel {
  std::string_view name;
  std::string_view file;
  uint64_t bytes;
  std::string_view sha256;  // lower-case hexadecimal
  std::string_view licence;
  std::string_view notice;
  std::vector<PackagePart> parts;
};

struct Alias {
  std::string_view name;
  std::string_view model;
};

std::span<const CatalogueModel> catalogue();
std::span<const Alias> aliases();
std::span<const std::string_view> preferred_tags();

// By name or alias; nullptr when there is none.
const CatalogueModel* find_model(std::string_view name);

}  // namespace quern::hub
