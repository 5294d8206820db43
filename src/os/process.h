// Running another program: no shell, its arguments as they are, its output as it comes.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace quern {

struct ProcessOptions {
  std::vector<std::string> argv;                                 // argv[0] is searched in PATH
  std::vector<std::pair<std::string, std::string>> environment;  // set on top of this process's
  // Called with the child's standard output as it arrives; an error ends the child and is returned. Unset: discarded.
  std::function<Status(std::span<const std::byte>)> on_output;
  // Called about five times a second; false ends the child, and the call returns kCancelled.
  std::function<bool()> keep_going;
  // A session of its own, without a terminal and with none of this process's descriptors. All processes that it starts
  // and that stay in its process group end with it: when this call fails by SIGTERM, at the latest 0.3 s later by
  // SIGKILL; when argv[0] is done by SIGKILL at once.
  bool own_session = false;
  bool own_environment = false;  // `environment` is all that it has; argv[0] is still searched in this process's PATH
  std::string directory = {};    // where it runs, empty: here; argv[0] with a slash is looked up from there
  std::string input = {};        // its standard input
  double timeout_s = 0;          // over 0: when it has passed the child is ended, and the call returns kTimeout
};

struct ProcessResult {
  int exit_code = 0;       // 128 + signal where a signal ended it
  std::string error_text;  // the last 8 KB of its standard error
};

// Runs the program to its end. kNotFound: there is no such program, or no such directory; kIo: it cannot be started. A
// program that ran and failed is a result, not an error.
Result<ProcessResult> run_process(const ProcessOptions& options);

}  // namespace quern
