#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/clock.h"
#include "os/terminal.h"

namespace quern::cli {

namespace {

constexpr double kRedrawS = 0.1;
constexpr int kMaxBar = 40;
constexpr int kMinBar = 8;  // narrower says less than the figures beside it

std::string time_left(double seconds) {
  if (seconds < 100) return fmt::format("{:.0f} s", seconds);
  if (seconds < 6000) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace

std::string progress_line(std::string_view label, uint64_t done, uint64_t total, double rate, int width,
                          std::string_view unit) {
  const auto shown = [&](double count) {
    return unit.empty() ? fmt::format("{:.1f}", count / 1e6) : fmt::format("{:.0f}", count);
  };
  const std::string_view name = unit.empty() ? "MB" : unit;
  std::string figures = shown(static_cast<double>(done));
  if (total > 0) figures += " / " + shown(static_cast<double>(total));
  figures += fmt::format(" {}", name);
  if (rate > 0) figures += fmt::format("  {} {}/s", shown(rate), name);
  if (rate > 0 && total > done) figures += fmt::format("  {}", time_left(static_cast<double>(total - done) / rate));
  const auto columns = static_cast<size_t>(std::max(width - 1, 1));  // the last column would wrap on some terminals
  std::string line(label.substr(0, columns / 3));
  line += "  ";
  const int room = static_cast<int>(columns) - static_cast<int>(line.size() + figures.size()) - 4;
  if (total > 0 && room >= kMinBar) {
    const auto size = static_cast<size_t>(std::min(room, kMaxBar));
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const auto full = static_cast<size_t>(share * static_cast<double>(size));
    line.append("[").append(full, '#').append(size - full, '-').append("]  ");
  }
  return (line + figures).substr(0, columns);
}

ProgressBar::ProgressBar(std::string_view unit) : unit_(unit), enabled_(is_terminal(Stream::kErr)) {}

void ProgressBar::update(std::string_view label, uint64_t done, uint64_t total) {
  if (!enabled_) return;
  const double now = now_s();
  if (label != label_) {
    label_ = label;
    start_s_ = now;
    first_done_ = done;
    drawn_s_ = 0;
  }
  if (now - drawn_s_ < kRedrawS && done != total) return;
  drawn_s_ = now;
  const double elapsed = now - start_s_;
  const double rate = elapsed > 0.5 && done > first_done_ ? static_cast<double>(done - first_done_) / elapsed : 0;
  fmt::print(stderr, "\r\033[K{}", progress_line(label_, done, total, rate, terminal_width(Stream::kErr), unit_));
  std::fflush(stderr);
  visible_ = true;
}

void ProgressBar::clear() {
  if (!visible_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  visible_ = false;
}

}  // namespace quern::cli
