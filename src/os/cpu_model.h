// The processor as it calls itself, with its generation: what a kept measurement belongs to.
#pragma once

#include <string>

namespace quern {

// Reads /proc/cpuinfo anew; "unknown processor" where it does not say. Any thread.
std::string cpu_model();

}  // namespace quern
