// The user's folders, by the XDG base directory specification.
#pragma once

#include <string>

#include "base/result.h"

namespace quern {

// $QUERN_CACHE, $XDG_CACHE_HOME/quern or ~/.cache/quern: what can be fetched again. Not created. kNotFound when neither
// a variable nor the user's home is known.
Result<std::string> cache_folder();

// $QUERN_CONFIG, $XDG_CONFIG_HOME/quern or ~/.config/quern: what the user wrote or would miss.
Result<std::string> config_folder();

}  // namespace quern
