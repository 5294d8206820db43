#include "backend/cpu/tiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

#include "base/checked.h"
#include "kernels/kernels.h"
#include "os/atomic_file.h"
#include "os/file.h"
#include "os/small_file.h"

namespace quern {

namespace {

constexpr size_t kTrials = 3;             // of each candidate; the best counts
constexpr double kWorthwhile = 0.98;      // of the default's time, for another tile to be taken
constexpr size_t kSmallest = 256 * 1024;  // weights; below, the trials would measure noise
constexpr uint32_t kMaxGroups = 4096, kMaxTokens = 1u << 16;

size_t token_class(size_t n_tokens) {
  return std::bit_ceil(std::max<size_t>(1, n_tokens));
}

bool sensible(const Tile& t) {
  return t.groups >= 4 && t.groups <= kMaxGroups && t.groups % 4 == 0 && t.tokens <= kMaxTokens && t.tokens % 16 == 0;
}

nlohmann::json parse_object(std::string_view text) {
  auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : nlohmann::json::object();
}

// Cheap to form for every product; shapes that share it by chance (2^-64) would share a tile, which is harmless.
uint64_t fast_key(const ProductShape& s) {
  uint64_t h = static_cast<uint64_t>(s.type);
  for (const uint64_t v :
       {uint64_t{s.groups}, uint64_t{s.cols}, uint64_t{token_class(s.n_tokens)}, uint64_t{s.threads}}) {
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    h ^= h >> 29;
  }
  return h;
}

}  // namespace

std::string tile_key(const ProductShape& s) {
  return fmt::format("{} {}x{}, {} tokens, {} threads", format_info(s.type).name, s.groups * kGroupRows, s.cols,
                     token_class(s.n_tokens), s.threads);
}

Tile default_tile(const ProductShape& s) {
  return {.groups = static_cast<uint32_t>(
              std::clamp<size_t>(round_up(s.groups / (8 * std::max(1u, s.threads)), 4), 4, kMaxGroups)),
          .tokens = 0};
}

std::vector<Tile> tile_candidates(const ProductShape& s) {
  std::vector<Tile> all = {default_tile(s)};
  if (s.groups * kGroupRows * s.cols < kSmallest) return all;
  for (const uint32_t groups : {4u, 8u, 16u, 32u}) {
    // At least three units a thread, or the slowest thread's last unit decides.
    if (s.groups < 3 * static_cast<size_t>(groups) * s.threads) break;
    for (const uint32_t tokens : {0u, 32u, 128u}) {
      const Tile tile{groups, tokens};
      if (2 * tokens <= s.n_tokens && tile != all[0]) all.push_back(tile);
    }
  }
  return all;
}

KeptTiles parse_tiles(std::string_view text, const std::string& machine) {
  KeptTiles kept;
  const auto json = parse_object(text);
  const auto of = json.find(machine);
  if (of == json.end() || !of->is_object()) return kept;
  for (const auto& [key, value] : of->items()) {
    if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() || !value[1].is_number_unsigned()) {
      continue;
    }
    const auto groups = value[0].get<uint64_t>(), tokens = value[1].get<uint64_t>();
    if (groups > kMaxGroups || tokens > kMaxTokens) continue;
    const Tile tile{static_cast<uint32_t>(groups), static_cast<uint32_t>(tokens)};
    if (sensible(tile)) kept.emplace(key, tile);
  }
  return kept;
}

Tiles::Tiles(std::string path, std::string machine) : path_(std::move(path)), machine_(std::move(machine)) {
  if (!path_.empty()) kept_ = parse_tiles(read_small_file(path_).value_or(""), machine_);
}

Tiles::~Tiles() {
  if (path_.empty() || !changed_) return;
  // Read anew: another process may have added its own.
  auto json = parse_object(read_small_file(path_).value_or(""));
  auto& of = json[machine_];
  if (!of.is_object()) of = nlohmann::json::object();
  for (const auto& [fast, named] : entries_) {
    const auto& [key, entry] = named;
    if (entry.settled() && entry.trials > 0) of[key] = {entry.candidates[0].groups, entry.candidates[0].tokens};
  }
  if (!make_folders(path_.substr(0, path_.rfind('/')))) return;
  (void)write_file_atomically(path_, json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

Tiles::Entry& Tiles::entry(const ProductShape& shape) {
  auto& [key, entry] = entries_[fast_key(shape)];
  if (!entry.candidates.empty()) return entry;
  key = tile_key(shape);
  if (const auto found = kept_.find(key); found != kept_.end()) {
    entry.candidates = {found->second};
  } else {
    entry.candidates = tile_candidates(shape);
  }
  entry.best.assign(entry.candidates.size(), 0);
  return entry;
}

void Tiles::report(Entry& entry, double seconds_a_token) {
  double& best = entry.best[entry.trials % entry.candidates.size()];
  if (best == 0 || seconds_a_token < best) best = seconds_a_token;
  if (++entry.trials < kTrials * entry.candidates.size()) return;
  const auto fastest = std::min_element(entry.best.begin(), entry.best.end());
  const bool gain = *fastest < kWorthwhile * entry.best[0];
  entry.candidates = {gain ? entry.candidates[static_cast<size_t>(fastest - entry.best.begin())] : entry.candidates[0]};
  changed_ = true;
}

}  // namespace quern
