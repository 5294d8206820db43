// The table of architectures: general.architecture in a file to the code that runs it.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "model/model.h"

namespace quern {

struct ArchInfo {
  std::string_view name;  // general.architecture
  Result<std::unique_ptr<Model>> (*load)(ModelConfig config, WeightLoader& loader, const ModelOptions& options);
};

std::span<const ArchInfo> architectures();

// The row of a file. kUnsupported names the architectures that are known.
Result<const ArchInfo*> find_architecture(const GgufView& file);

}  // namespace quern
