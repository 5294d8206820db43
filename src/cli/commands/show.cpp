// quern show: what a model file holds.
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/model_file.h"
#include "gguf/describe.h"
#include "gguf/printable.h"
#include "quant/format.h"

namespace quern::cli {

namespace {

struct ShowOptions {
  std::string model;
  bool tensors = false;
  bool arrays = false;
  bool json = false;

  std::vector<Field> fields() {
    return {{"MODEL", &model, "A file, or a name from quern list", {.required = true}},
            {"--tensors", &tensors, "List every tensor (always in JSON)"},
            {"--arrays", &arrays, "Print arrays whole, a vocabulary for instance, not their first eight elements"},
            {"--json", &json, "Print one JSON object"}};
  }
};

constexpr size_t kFirstItems = 8;

nlohmann::json scalar_json(const GgufValue& value) {
  if (const auto text = value.as_string()) return *text;
  if (const auto flag = value.as_bool()) return *flag;
  if (const auto number = value.as_u64()) return *number;
  if (const auto number = value.as_i64()) return *number;
  const auto number = value.as_f64();
  // JSON has no infinities; their text says more than null.
  if (number && std::isfinite(*number)) return *number;
  return render_value(value);
}

// An array is its elements, at most `limit` of them; what is left out shows in "count".
nlohmann::json value_json(const GgufValue& value, size_t limit) {
  if (!value.is_array()) return scalar_json(value);
  auto items = nlohmann::json::array();
  const size_t n = std::min(value.size(), limit);
  auto text = value.strings().begin();
  for (size_t i = 0; i < n; ++i) {
    items.push_back(value.element_type() == GgufType::kString ? nlohmann::json(*text++) : scalar_json(value.at(i)));
  }
  return items;
}

nlohmann::json keys_json(const GgufView& view, size_t limit) {
  auto keys = nlohmann::json::array();
  for (const auto& [name, value] : view.keys()) {
    keys.push_back({{"name", name}, {"type", gguf_type_name(value.type())}, {"value", value_json(value, limit)}});
    if (!value.is_array()) continue;
    keys.back()["element_type"] = gguf_type_name(value.element_type());
    keys.back()["count"] = value.size();
  }
  return keys;
}

nlohmann::json tensors_json(const GgufView& view) {
  auto tensors = nlohmann::json::array();
  for (const GgufTensor& tensor : view.tensors()) {
    tensors.push_back({{"name", tensor.name},
                       {"type", format_info(tensor.type).name},
                       {"dims", std::vector<uint64_t>(tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims)},
                       {"bytes", tensor.data.size()},
                       {"offset", tensor.file_offset},
                       {"part", tensor.part}});
  }
  return tensors;
}

nlohmann::json types_json(const GgufSummary& summary) {
  auto types = nlohmann::json::array();
  for (const GgufTypeCount& row : summary.types) {
    types.push_back({{"type", format_info(row.type).name},
                     {"tensors", row.tensors},
                     {"parameters", row.parameters},
                     {"bytes", row.bytes}});
  }
  return types;
}

void print_summary(const Context& context, const ModelFile& file, const GgufSummary& summary) {
  const auto row = [&](std::string_view name, const std::string& value) {
    context.print(fmt::format("{:<18}{}\n", name, value));
  };
  row("file", file.path());
  row("format", fmt::format("GGUF version {}, {} {}, {} bytes", summary.version, summary.parts,
                            summary.parts == 1 ? "file" : "files", summary.file_bytes));
  // As the keys below: quoted, so that no file drives the terminal.
  if (const GgufValue* value = file.view().find("general.name")) row("name", render_value(*value));
  if (const GgufValue* value = file.view().find("general.architecture")) row("architecture", render_value(*value));
  row("parameters",
      fmt::format("{:.1f} million in {} tensors", static_cast<double>(summary.parameters) / 1e6, summary.tensors));
  row("bits per weight", fmt::format("{:.2f}", summary.bits_per_weight));
  for (const GgufTypeCount& type : summary.types) {
    row(fmt::format("  {}", format_info(type.type).name),
        fmt::format("{} tensors, {:.1f} million parameters, {:.1f} MB", type.tensors,
                    static_cast<double>(type.parameters) / 1e6, static_cast<double>(type.bytes) / 1e6));
  }
}

void print_keys(const Context& context, const GgufView& view, bool arrays) {
  context.print("\nkeys\n");
  for (const auto& [name, value] : view.keys()) {
    const std::string count = value.is_array() ? fmt::format(" ({})", value.size()) : "";
    context.print(fmt::format("  {}{} = {}\n", printable(name), count,
                              render_value(value, arrays ? value.size() : kFirstItems, arrays ? SIZE_MAX : 200)));
  }
}

void print_tensors(const Context& context, const GgufView& view) {
  context.print("\ntensors\n");
  for (const GgufTensor& tensor : view.tensors()) {
    std::string dims;
    for (uint32_t i = 0; i < tensor.n_dims; ++i) dims += fmt::format("{}{}", i > 0 ? " x " : "", tensor.dims[i]);
    context.print(fmt::format("  {:<40} {:<8} {:<20} {} bytes\n", printable(tensor.name), format_info(tensor.type).name,
                              dims, tensor.data.size()));
  }
}

}  // namespace

int show_command(Context& context) {
  ShowOptions options;
  if (auto code = context.parse(options, "  quern show default\n  quern show --tensors model.gguf\n")) return *code;
  const auto file = ModelFile::open(options.model);
  if (!file) return context.failed(file.error());
  const GgufView& view = file->view();
  const GgufSummary summary = describe(view);
  if (options.json) {
    context.print_json({{"path", file->path()},
                        {"architecture", summary.architecture},
                        {"name", summary.name},
                        {"version", summary.version},
                        {"alignment", summary.alignment},
                        {"parts", summary.parts},
                        {"file_bytes", summary.file_bytes},
                        {"parameters", summary.parameters},
                        {"tensor_bytes", summary.tensor_bytes},
                        {"bits_per_weight", summary.bits_per_weight},
                        {"types", types_json(summary)},
                        {"keys", keys_json(view, options.arrays ? SIZE_MAX : kFirstItems)},
                        {"tensors", tensors_json(view)}});
    return kExitOk;
  }
  print_summary(context, *file, summary);
  print_keys(context, view, options.arrays);
  if (options.tensors) print_tensors(context, view);
  return kExitOk;
}

}  // namespace quern::cli
