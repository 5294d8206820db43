#include "chat/strftime.h"

#include <array>

namespace quern::jinja {

std::string format_time(std::string_view format, const std::tm& time) {
  constexpr std::string_view kDirectives = "aAbBcCdDeFgGhHIjklmMnprRsStTuUVwWxXyY%";
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    // glibc's flags for padding and case, as in %-d.
    size_t end = i + 1;
    if (std::string_view("-_0^#").find(format[end]) != std::string_view::npos && end + 1 < format.size()) ++end;
    const char directive = format[end];
    if (directive == 'f') {
      out += "000000";
    } else if (kDirectives.find(directive) != std::string_view::npos) {
      std::array<char, 128> buffer;
      const std::string one(format.substr(i, end - i + 1));
      out.append(buffer.data(), std::strftime(buffer.data(), buffer.size(), one.c_str(), &time));
    } else if (directive != 'z' && directive != 'Z') {
      out += format.substr(i, end - i + 1);
    }
    i = end;
  }
  return out;
}

}  // namespace quern::jinja
