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
};

struct ProcessResult {
  int exit_code = 0;       // 128 + signal where a signal ended it
  std::string error_text;  // the last 8 KB of its standard error
};

// Runs the program to its end, with an empty standard input. kNotFound: there is no such program; kIo: it cannot be
// started. A program that ran and failed is a result, not an error.
Result<ProcessResult> run_process(const ProcessOptions& options);

}  // namespace quern
