#include "engine/model_summary.h"

#include "engine/model_file.h"
#include "gguf/describe.h"

namespace quern {

namespace {

MetadataScalar scalar_of(const GgufValue& value) {
  if (const auto text = value.as_string()) return std::string(*text);
  if (const auto flag = value.as_bool()) return *flag;
  if (const auto number = value.as_u64()) return *number;
  if (const auto number = value.as_i64()) return *number;
  return value.as_f64().value_or(0);
}

std::vector<MetadataScalar> elements_of(const GgufValue& value) {
  std::vector<MetadataScalar> all;
  all.reserve(value.size());
  if (value.element_type() == GgufType::kString) {
    for (const std::string_view text : value.strings()) all.emplace_back(std::string(text));
    return all;
  }
  for (size_t i = 0; i < value.size(); ++i) all.push_back(scalar_of(value.at(i)));
  return all;
}

}  // namespace

Result<ModelSummary> summarize_model(const std::string& path, bool arrays) {
  QUERN_TRY(const auto file, ModelFile::open(path));
  const GgufView& view = file->view();
  const GgufSummary described = describe(view);
  ModelSummary out{.architecture = described.architecture,
                   .name = described.name,
                   .licence = std::string(view.get_string("general.license", "").value_or("")),
                   .chat_template = std::string(view.get_string("tokenizer.chat_template", "").value_or("")),
                   .weight_type = described.types.empty() ? "" : std::string(described.types.front().name),
                   .parameters = described.parameters,
                   .file_bytes = described.file_bytes,
                   .pools = view.find(described.architecture + ".pooling_type") != nullptr,
                   .keys = {}};
  for (const auto& [name, value] : view.keys()) {
    MetadataKey key{.name = std::string(name), .is_array = value.is_array(), .count = value.size(), .values = {}};
    if (!value.is_array()) {
      key.values = {scalar_of(value)};
    } else if (arrays) {
      key.values = elements_of(value);
    }
    out.keys.push_back(std::move(key));
  }
  return out;
}

}  // namespace quern
