// strftime as Python's datetime has it in the C locale, for a local time without a zone.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

namespace quern::jinja {

// Directives that are not known stay as they are. Pure; any thread.
std::string format_time(std::string_view format, const std::tm& time);

}  // namespace quern::jinja
