// `arguments:` of tools.yaml as a JSON schema. One thread.
#pragma once

#include "tools/file_reader.h"
#include "tools/tool.h"

namespace quern::toolbox {

// An object's schema: each argument is required unless it says `optional: true`, and no others are allowed.
Json read_argument_map(FileReader& reader, const YamlNode& map, std::string_view what);

}  // namespace quern::toolbox
