// A progress bar on standard error: bytes (or a count of something else), rate, time left. Draws only where standard
// error is a terminal, at most ten times a second, and clears its line when it ends. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace quern::cli {

class ProgressBar {
 public:
  // `unit` names what is counted; empty: bytes, shown as MB.
  explicit ProgressBar(std::string_view unit = {});
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Another label begins another bar. total 0: unknown, only bytes and rate are shown.
  void update(std::string_view label, uint64_t done, uint64_t total);
  // Takes the bar off the screen, so that a message can be printed; the next update draws it again.
  void clear();

 private:
  const std::string unit_;
  const bool enabled_;
  bool visible_ = false;
  std::string label_;
  uint64_t first_done_ = 0;  // what was there before: no part of the rate
  double start_s_ = 0;
  double drawn_s_ = 0;
};

// One line of at most `width` columns: "label  [#####-----]  12.3 / 98.4 MB  4.5 MB/s  19 s". rate per second.
std::string progress_line(std::string_view label, uint64_t done, uint64_t total, double rate, int width,
                          std::string_view unit = {});

}  // namespace quern::cli
