#include "model/arch/registry.h"

namespace quern {

using Loaded = Result<std::unique_ptr<Model>>;
Loaded load_llama(ModelConfig, WeightLoader&, const ModelOptions&);
Loaded load_qwen2(ModelConfig, WeightLoader&, const ModelOptions&);
Loaded load_qwen3(ModelConfig, WeightLoader&, const ModelOptions&);
Loaded load_gemma3(ModelConfig, WeightLoader&, const ModelOptions&);
Loaded load_phi3(ModelConfig, WeightLoader&, const ModelOptions&);

std::span<const ArchInfo> architectures() {
  static constexpr ArchInfo kTable[] = {
      {"llama", load_llama}, {"qwen2", load_qwen2}, {"qwen3", load_qwen3}, {"gemma3", load_gemma3}, {"phi3", load_phi3},
  };
  return kTable;
}

Result<const ArchInfo*> find_architecture(const GgufView& file) {
  QUERN_TRY(const std::string_view name, file.get_string("general.architecture"));
  std::string known;
  for (const ArchInfo& arch : architectures()) {
    if (arch.name == name) return &arch;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", arch.name);
  }
  return fail_f(ErrorCode::kUnsupported, "{}: architecture {} is not one that this engine runs ({})", file.file_name(),
                name, known);
}

Loaded load_model(const GgufView& file, Backend& backend, const ModelOptions& options) {
  QUERN_TRY(const ArchInfo* arch, find_architecture(file));
  QUERN_TRY(ModelConfig config, read_config(file));
  WeightLoader loader(file, backend);
  return arch->load(std::move(config), loader, options);
}

}  // namespace quern
