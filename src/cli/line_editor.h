// LineEditor: a line from the terminal, with editing and a history that is kept between runs. A wrapper of libedit, the
// only file that knows it.
//
// One at a time, on the main thread, inside an InterruptScope. Sets the character type of the locale (LC_CTYPE) to the
// user's, or to UTF-8 where that has none, since libedit reads by it.
#pragma once

#include <memory>
#include <string>

namespace quern::cli {

class LineEditor {
 public:
  // An empty path keeps no history. A file that cannot be read or written is as if empty.
  explicit LineEditor(std::string history_path);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome { kLine, kInterrupted, kEnd };
  // `line` without its line end. kInterrupted: the flag of InterruptScope was raised, what had been typed is in `line`.
  Outcome read(const std::string& prompt, std::string& line);
  // Puts a line into the history and its file.
  void remember(const std::string& line);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern::cli
