// Text from outside, the output of a tool above all, with nothing in it that the model's tokenizer takes for a control
// token: "<|im_end|>" in a web page must not end the message that it stands in. One thread, as the engine.
#pragma once

#include <string>

#include "quern/quern.h"

namespace quern::cli {

// A zero width space goes behind the first character of every control token's text; all else stays.
std::string disarm(const Engine& engine, std::string text);

}  // namespace quern::cli
