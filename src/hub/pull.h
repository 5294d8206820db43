// Pulling a model: from the catalogue, a repository of the hub or an address, into the cache folder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "hub/options.h"

namespace quern::hub {

struct Pulled {
  std::string name;  // as every MODEL argument takes it
  std::string path;  // of the first part
  uint64_t bytes = 0;
  std::string sha256;        // of the first part
  bool was_present = false;  // nothing was fetched
  bool checked = false;      // the bytes were compared with a hash that was known beforehand, now or when fetched
};

// source: a catalogue name, "hf:OWNER/REPO[:FILE]" or an http(s) address ending in .gguf. A model that is there with
// the right size is accepted at once; verify reads it again and compares its SHA-256. Split models are pulled whole.
// Errors: those of fetch_packages and download_file; kInvalidArgument where the source names no model or several.
Result<Pulled> pull(std::string_view source, bool verify, const HubOptions& options, const PullMonitor& monitor);

}  // namespace quern::hub
