// The tables of options as text: docs/server-options.md and deploy/quern.yaml, which a test compares with these. Pure;
// any thread.
#pragma once

#include <string>

namespace quern::server {

std::string options_markdown();
// Every option, commented out, with its default.
std::string example_yaml();

}  // namespace quern::server
