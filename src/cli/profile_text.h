// The tables of --profile, as text and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "bench/limits.h"
#include "quern/quern.h"

namespace quern::cli {

// Prompt and decode apart, each beside the limits for its number of threads; a phase without steps is left out. The
// percentages of a table add up to 100.0 as they are printed.
std::string profile_text(const Profile& profile, const MachineLimits& prompt, const MachineLimits& decode, bool layers);
nlohmann::json profile_json(const Profile& profile, const MachineLimits& prompt, const MachineLimits& decode,
                            bool layers);

}  // namespace quern::cli
