#include "tests/support/tiny_model.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "gguf/writer.h"
#include "tests/support/tiny_tokenizer.h"

namespace quern {
namespace {

using nlohmann::json;

Result<json> read_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail_f(ErrorCode::kNotFound, "{}: cannot be opened", path);
  json parsed = json::parse(file, nullptr, false);
  if (parsed.is_discarded()) return fail_f(ErrorCode::kCorrupt, "{}: not JSON", path);
  return parsed;
}

// Runs `body`, which reads JSON of a form that it expects; where the form is another, nlohmann throws.
template <class T, class Body>
Result<T> reading(std::string_view what, Body&& body) {
  try {
    return body();
  } catch (const json::exception& e) {
    return fail_f(ErrorCode::kCorrupt, "{}: {}", what, e.what());
  }
}

uint64_t fnv1a(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return hash;
}

struct Tensor {
  std::string name;
  std::vector<uint64_t> shape;  // rows x columns, row-major
  float offset;
  float scale;
};

std::vector<Tensor> expand_blocks(const json& model) {
  const std::string arch = model.at("arch");
  const size_t n_blocks = model.at("keys").at(arch + ".block_count");
  std::vector<Tensor> tensors;
  for (const json& t : model.at("tensors")) {
    const std::string name = t.at(0);
    const size_t at = name.find("{i}");
    for (size_t i = 0; i < (at == std::string::npos ? 1 : n_blocks); ++i) {
      std::string own = name;
      if (at != std::string::npos) own.replace(at, 3, std::to_string(i));
      tensors.push_back(
          {std::move(own), t.at(1).get<std::vector<uint64_t>>(), t.at(2).get<float>(), t.at(3).get<float>()});
    }
  }
  return tensors;
}

std::vector<float> make_weights(std::string_view model, const Tensor& tensor) {
  size_t n = 1;
  for (const uint64_t d : tensor.shape) n *= d;
  SplitMix64 rng(fnv1a(fmt::format("{}/{}", model, tensor.name)));
  std::vector<float> values(n);
  for (float& v : values) v = tensor.offset + tensor.scale * rng.next_float();
  return values;
}

void add_keys(GgufWriter& writer, const json& model) {
  writer.add("general.architecture", std::string_view(model.at("arch").get_ref<const std::string&>()));
  // Not the model's own name: llama.cpp expects certain special tokens of a model that is named phi3.
  writer.add("general.name", "tiny");
  for (const auto& [key, value] : model.at("keys").items()) {
    if (value.is_string()) {
      writer.add(key, std::string_view(value.get_ref<const std::string&>()));
    } else if (value.is_number_float()) {
      writer.add(key, value.get<float>());
    } else {
      writer.add(key, value.get<uint32_t>());
    }
  }
}

Result<std::vector<std::byte>> build(const json& model, const TinyTypeChoice& type_of) {
  const std::string name = model.at("name");
  GgufWriter writer;
  add_keys(writer, model);
  add_tiny_tokenizer(writer, model.at("vocab").get<size_t>());
  const std::vector<Tensor> tensors = expand_blocks(model);
  std::vector<std::vector<std::byte>> data;  // the writer keeps views of it
  data.reserve(tensors.size());
  for (const Tensor& tensor : tensors) {
    const bool matrix = tensor.shape.size() == 2;
    const TensorType type = matrix && type_of ? type_of(tensor.name) : TensorType::kF32;
    const std::vector<float> values = make_weights(name, tensor);
    const uint64_t columns = tensor.shape.back();
    const auto bytes = row_bytes(type, columns);
    if (!bytes) {
      return fail_f(ErrorCode::kInvalidArgument, "{}: rows of {} elements are no whole blocks of {}", tensor.name,
                    columns, format_info(type).name);
    }
    data.emplace_back(*bytes * (values.size() / columns));
    format_info(type).encode(values.data(), data.back().data(), values.size());
    writer.add_tensor({tensor.name, type, {tensor.shape.rbegin(), tensor.shape.rend()}}, data.back());
  }
  return writer.bytes();
}

Result<json> read_table() {
  return read_json(QUERN_SOURCE_DIR "/tools/oracle/tiny_models.json");
}

}  // namespace

Result<std::vector<std::string>> tiny_model_names() {
  QUERN_TRY(const json table, read_table());
  return reading<std::vector<std::string>>("tiny_models.json", [&] {
    std::vector<std::string> names;
    for (const json& m : table.at("models")) names.push_back(m.at("name"));
    return names;
  });
}

Result<std::vector<std::byte>> tiny_model(std::string_view name, const TinyTypeChoice& type_of) {
  QUERN_TRY(const json table, read_table());
  return reading<std::vector<std::byte>>("tiny_models.json", [&]() -> Result<std::vector<std::byte>> {
    for (const json& m : table.at("models")) {
      if (m.at("name").get_ref<const std::string&>() == name) return build(m, type_of);
    }
    return fail_f(ErrorCode::kNotFound, "tiny_models.json has no model {}", name);
  });
}

Result<std::vector<std::byte>> tiny_model(std::string_view name, TensorType matrices) {
  return tiny_model(name, [matrices](std::string_view) { return matrices; });
}

Result<TinyGolden> tiny_golden(std::string_view name) {
  const std::string path = fmt::format("{}/tests/data/tiny/{}.json", QUERN_SOURCE_DIR, name);
  QUERN_TRY(const json golden, read_json(path));
  return reading<TinyGolden>(path, [&] {
    TinyGolden g;
    golden.at("ids").get_to(g.ids);
    golden.at("greedy").get_to(g.greedy);
    golden.at("margins").get_to(g.margins);
    for (const auto& [position, logits] : golden.at("logits").items()) {
      g.logits[std::stoul(position)] = logits.get<std::vector<float>>();
    }
    return g;
  });
}

}  // namespace quern
