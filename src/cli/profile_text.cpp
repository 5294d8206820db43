#include "cli/profile_text.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/profile_report.h"

namespace quern::cli {

namespace {

std::string figure(double value, int digits) {
  return value > 0 ? fmt::format("{:.{}f}", value, digits) : "-";
}

std::string line_text(const ProfileLine& l, double per_cent) {
  return fmt::format(
      "{:<22} {:>8} {:>10.2f} {:>6.1f} {:>8} {:>9} {:>7}  {}\n", l.name, l.calls > 0 ? fmt::format("{}", l.calls) : "-",
      1e3 * l.seconds, per_cent, figure(l.bytes_per_s / 1e9, 2), figure(l.macs_per_s / 1e9, 2),
      l.limit_share > 0 ? fmt::format("{:.1f} %", 100 * l.limit_share) : "-", l.bound ? bound_name(*l.bound) : "-");
}

std::string table_text(std::string_view first_column, const ProfileTable& table) {
  std::string text = fmt::format("{:<22} {:>8} {:>10} {:>6} {:>8} {:>9} {:>7}  {}\n", first_column, "calls", "ms", "%",
                                 "GB/s", "GMAC/s", "limit", "bound by");
  // Each per cent is the step of the rounded running sum, so that what is printed adds up.
  double sum = 0, printed = 0;
  for (const ProfileLine& l : table.lines) {
    sum += l.share_of_time;
    const double up_to = std::round(1e3 * sum) / 10;
    text += line_text(l, std::abs(up_to - printed));
    printed = up_to;
  }
  return text + line_text(table.total, 100);
}

std::string phase_text(std::string_view name, const ProfilePhase& phase, const MachineLimits& limits, bool layers) {
  if (phase.steps == 0) return "";
  std::string text = fmt::format(
      "\n{}: {} steps, {} tokens, {:.2f} ms a step, {} {} (limits {:.1f} GB/s, {:.0f} integer and {:.0f} "
      "float GMAC/s)\n",
      name, phase.steps, phase.tokens, 1e3 * phase.seconds / static_cast<double>(phase.steps), limits.threads,
      limits.threads == 1 ? "thread" : "threads", limits.read_bytes_per_s / 1e9, limits.int_macs_per_s / 1e9,
      limits.float_macs_per_s / 1e9);
  text += table_text("operation", profile_table(phase, limits, ProfileBy::kOperation));
  if (layers) text += "\n" + table_text("layer", profile_table(phase, limits, ProfileBy::kLayer));
  return text;
}

nlohmann::json line_json(const ProfileLine& l) {
  return {{"name", l.name},
          {"calls", l.calls},
          {"seconds", l.seconds},
          {"share_of_time", l.share_of_time},
          {"gb_per_s", l.bytes_per_s / 1e9},
          {"gmac_per_s", l.macs_per_s / 1e9},
          {"limit_share", l.limit_share > 0 ? nlohmann::json(l.limit_share) : nlohmann::json()},
          {"bound", l.bound ? nlohmann::json(bound_name(*l.bound)) : nlohmann::json()}};
}

nlohmann::json table_json(const ProfileTable& table) {
  auto list = nlohmann::json::array();
  for (const ProfileLine& l : table.lines) list.push_back(line_json(l));
  return list;
}

nlohmann::json phase_json(const ProfilePhase& phase, const MachineLimits& limits, bool layers) {
  const ProfileTable table = profile_table(phase, limits, ProfileBy::kOperation);
  nlohmann::json json = {
      {"steps", phase.steps},     {"tokens", phase.tokens},          {"threads", limits.threads},
      {"seconds", phase.seconds}, {"operations", table_json(table)}, {"all", line_json(table.total)}};
  if (layers) json["layers"] = table_json(profile_table(phase, limits, ProfileBy::kLayer));
  return json;
}

}  // namespace

std::string profile_text(const Profile& profile, const MachineLimits& prompt, const MachineLimits& decode,
                         bool layers) {
  return phase_text("prompt", profile.prompt, prompt, layers) + phase_text("decode", profile.decode, decode, layers);
}

nlohmann::json profile_json(const Profile& profile, const MachineLimits& prompt, const MachineLimits& decode,
                            bool layers) {
  return {{"prompt", phase_json(profile.prompt, prompt, layers)},
          {"decode", phase_json(profile.decode, decode, layers)}};
}

}  // namespace quern::cli
