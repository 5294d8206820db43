// The flags of SamplingOptions: names, help and bounds come from the one declaration in sample/options.h.
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"
#include "quern/sampling.h"

namespace quern::cli {

// What flags fill that is no plain number.
struct SamplingTexts {
  std::vector<std::string> logit_bias;    // "ID+BIAS", "ID-BIAS"
  std::vector<std::string> dry_breakers;  // instead of the default ones
};

// Appends a field for every sampling option. Both structs must outlive the fields.
void add_sampling_fields(SamplingOptions& options, SamplingTexts& texts, std::vector<Field>& to);

// Puts the texts into the options. kInvalidArgument for a bias that cannot be read.
Status apply_texts(const SamplingTexts& texts, SamplingOptions& options);

}  // namespace quern::cli
