#include "os/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace quern {

bool is_terminal(Stream stream) {
  return ::isatty(static_cast<int>(stream)) == 1;
}

int terminal_width(Stream stream) {
  winsize size{};
  if (::ioctl(static_cast<int>(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace quern
