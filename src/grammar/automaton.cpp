#include "grammar/automaton.h"

#include <algorithm>
#include <map>

namespace quern::grammar {
namespace {

constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max() - 1;

uint32_t add(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(std::min<uint64_t>(uint64_t{a} + b, kMost));
}

uint64_t pair(uint32_t a, uint32_t b) {
  return uint64_t{a} << 32 | b;
}

size_t hash_of(std::span<const uint32_t> items, uint64_t seed) {
  uint64_t h = seed * 0x9E3779B97F4A7C15u;
  for (const uint32_t item : items) {
    h = (h ^ item) * 0xFF51AFD7ED558CCDu;
    h ^= h >> 32;
  }
  return h;
}

// Of a set, for the shortest end: something that reads well.
uint8_t plain_byte(const ByteSet& set) {
  for (const uint8_t b : {'a', '0', '1'}) {
    if (set.has(b)) return b;
  }
  return set.first();
}

}  // namespace

Automaton::Automaton(std::shared_ptr<const Ir> ir)
    : ir_(std::move(ir)),
      frame_index_(64, FrameHash{this}, FrameEqual{this}),
      state_index_(64, StateHash{this}, StateEqual{this}) {
  make_places();
  make_classes();
  states_.push_back({.least = kMost});  // kDead
  table_.resize(n_classes_, kDead);
  links_.push_back(kNone);
  const uint32_t end = take_frame(0);
  const Ir::Rule& root = ir_->rules[ir_->root];
  for (uint32_t a = root.first; a < root.last; ++a) pending_.push_back({first_place_[a], end});
  start_ = close();
}

void Automaton::make_places() {
  for (const Ir::Alternative& a : ir_->alternatives) {
    first_place_.push_back(static_cast<uint32_t>(places_.size()));
    for (uint32_t s = a.first; s < a.last; ++s) {
      const Symbol symbol = ir_->symbols[s];
      places_.push_back({.symbol = symbol.index, .is_rule = symbol.kind == Symbol::Kind::kRule});
    }
    places_.push_back({});
    for (size_t p = places_.size() - 1; p-- > first_place_.back();) {
      const Place& here = places_[p];
      places_[p].least = add(here.is_rule ? ir_->least_bytes[here.symbol] : 1, places_[p + 1].least);
    }
  }
}

void Automaton::make_classes() {
  unsigned n = 1;
  for (const ByteSet& set : ir_->sets) {
    if (n == 256) break;
    std::map<std::pair<uint8_t, bool>, uint8_t> split;
    for (unsigned b = 0; b < 256; ++b) {
      const auto byte = static_cast<uint8_t>(b);
      const auto [at, fresh] = split.try_emplace({class_of_[b], set.has(byte)}, static_cast<uint8_t>(split.size()));
      class_of_[b] = at->second;
    }
    n = static_cast<unsigned>(split.size());
  }
  n_classes_ = n;
  byte_of_.resize(n);
  for (unsigned b = 0; b < 256; ++b) byte_of_[class_of_[b]] = static_cast<uint8_t>(b);
}

size_t Automaton::StateHash::operator()(State s) const {
  const StateRow& row = a->states_[s];
  return hash_of(std::span(a->members_).subspan(row.first, row.last - row.first), row.accepts);
}

bool Automaton::StateEqual::operator()(State x, State y) const {
  const StateRow &l = a->states_[x], &r = a->states_[y];
  return l.accepts == r.accepts && std::equal(a->members_.begin() + l.first, a->members_.begin() + l.last,
                                              a->members_.begin() + r.first, a->members_.begin() + r.last);
}

size_t Automaton::FrameHash::operator()(uint32_t frame) const {
  return hash_of(a->links(frame), 0);
}

bool Automaton::FrameEqual::operator()(uint32_t x, uint32_t y) const {
  return std::ranges::equal(a->links(x), a->links(y));
}

std::span<const uint32_t> Automaton::links(uint32_t frame) const {
  const Range& r = frames_[frame].in_links;
  return std::span(links_).subspan(r.first, r.last - r.first);
}

uint32_t Automaton::stack(uint32_t place, uint32_t frame) {
  const auto [at, fresh] = stack_index_.try_emplace(pair(place, frame), static_cast<uint32_t>(stacks_.size()));
  if (fresh) stacks_.push_back({place, frame, add(places_[place].least, frames_[frame].least)});
  return at->second;
}

uint32_t Automaton::take_frame(uint32_t first) {
  std::sort(links_.begin() + first, links_.end());
  links_.erase(std::unique(links_.begin() + first, links_.end()), links_.end());
  uint32_t least = kMost;
  for (size_t i = first; i < links_.size(); ++i) least = std::min(least, least_of(links_[i]));
  frames_.push_back({{first, static_cast<uint32_t>(links_.size())}, least});
  const auto [at, fresh] = frame_index_.insert(static_cast<uint32_t>(frames_.size() - 1));
  const uint32_t frame = *at;
  if (!fresh) {
    frames_.pop_back();
    links_.resize(first);
  }
  return frame;
}

uint32_t Automaton::frame_of_one(uint32_t stack) {
  if (stacks_[stack].alone == kNone) {
    links_.push_back(stack);
    stacks_[stack].alone = take_frame(static_cast<uint32_t>(links_.size() - 1));
  }
  return stacks_[stack].alone;
}

uint32_t Automaton::frame_of_all(std::span<const Pending> at_one_place) {
  if (at_one_place.size() == 1) return at_one_place[0].frame;
  size_t n = 0;
  for (const Pending& at : at_one_place) n += links(at.frame).size();
  if (n > kMaxMerged) return kNone;
  const auto first = static_cast<uint32_t>(links_.size());
  for (const Pending& at : at_one_place) {
    const Range r = frames_[at.frame].in_links;
    for (uint32_t i = r.first; i < r.last; ++i) links_.push_back(links_[i]);
  }
  return take_frame(first);
}

void Automaton::expand(const Pending& at) {
  const Place& place = places_[at.place];
  if (place.symbol == kEnd) {
    for (const uint32_t link : links(at.frame)) {
      if (link == kNone) {
        accepts_ = true;
      } else {
        pending_.push_back({stacks_[link].place, stacks_[link].frame});
      }
    }
    return;
  }
  if (!place.is_rule) {
    found_.push_back(at);
    return;
  }
  const bool last = places_[at.place + 1].symbol == kEnd;
  const uint32_t frame = last ? at.frame : frame_of_one(stack(at.place + 1, at.frame));
  const Ir::Rule& rule = ir_->rules[place.symbol];
  for (uint32_t a = rule.first; a < rule.last; ++a) pending_.push_back({first_place_[a], frame});
}

Automaton::State Automaton::close() {
  found_.clear();
  visited_.clear();
  accepts_ = false;
  while (!pending_.empty()) {
    const Pending at = pending_.back();
    pending_.pop_back();
    if (!visited_.insert(pair(at.place, at.frame)).second) continue;
    if (stacks_.size() + links_.size() >= kMaxStacks || found_.size() >= kMaxStacksOfState) {
      exhausted_ = true;
      pending_.clear();
      return kDead;
    }
    expand(at);
  }
  return intern();
}

Automaton::State Automaton::intern() {
  if (found_.empty() && !accepts_) return kDead;
  std::sort(found_.begin(), found_.end());
  const auto state = static_cast<State>(states_.size());
  const auto first = static_cast<uint32_t>(members_.size());
  uint32_t least = accepts_ ? 0 : kMost;
  for (size_t i = 0, after = 0; i < found_.size(); i = after) {
    while (after < found_.size() && found_[after].place == found_[i].place) ++after;
    const uint32_t frame = frame_of_all(std::span(found_).subspan(i, after - i));
    if (frame == kNone) {
      exhausted_ = true;
      members_.resize(first);
      return kDead;
    }
    members_.push_back(stack(found_[i].place, frame));
    least = std::min(least, stacks_[members_.back()].least);
  }
  states_.push_back({first, static_cast<uint32_t>(members_.size()), least, accepts_});
  const auto [at, fresh] = state_index_.insert(state);
  if (!fresh || table_.size() + n_classes_ > kMaxTableEntries) {
    exhausted_ = exhausted_ || fresh;
    if (fresh) state_index_.erase(at);
    const State known = fresh ? kDead : *at;
    states_.pop_back();
    members_.resize(first);
    return known;
  }
  table_.resize(table_.size() + n_classes_, kUnknown);
  return state;
}

Automaton::State Automaton::compute(State state, uint8_t cls) {
  const uint8_t byte = byte_of_[cls];
  const StateRow row = states_[state];
  for (uint32_t i = row.first; i < row.last; ++i) {
    const Stack& s = stacks_[members_[i]];
    if (set_of(s).has(byte)) pending_.push_back({s.place + 1, s.frame});
  }
  const State to = pending_.empty() ? kDead : close();
  if (!exhausted_) set_next(state, cls, to);
  return to;
}

// In the table; for all classes that the same stacks take, where these are few: in a string most classes are alike.
void Automaton::set_next(State state, uint8_t cls, State to) {
  const StateRow row = states_[state];
  const bool few = row.last - row.first <= kFewStacks;
  const uint8_t byte = byte_of_[cls];
  for (size_t c = few ? 0 : cls; c <= (few ? n_classes_ - 1 : cls); ++c) {
    bool same = true;
    for (uint32_t i = row.first; i < row.last && same; ++i) {
      const ByteSet& set = set_of(stacks_[members_[i]]);
      same = set.has(byte_of_[c]) == set.has(byte);
    }
    if (same) table_[state * n_classes_ + c] = to;
  }
}

Automaton::State Automaton::next(State state, std::string_view bytes) {
  for (const char c : bytes) {
    if (state == kDead) break;
    state = next(state, static_cast<uint8_t>(c));
  }
  return state;
}

bool Automaton::complete(State state) {
  return states_[state].accepts && states_[state].first == states_[state].last;
}

int Automaton::only_byte(State state) {
  const StateRow& row = states_[state];
  if (row.accepts || row.first == row.last) return -1;
  const ByteSet& set = set_of(stacks_[members_[row.first]]);
  if (set.count() != 1) return -1;
  for (uint32_t i = row.first + 1; i < row.last; ++i) {
    if (set_of(stacks_[members_[i]]) != set) return -1;
  }
  return set.first();
}

std::string Automaton::shortest_end(State state, size_t most) const {
  std::string text;
  const StateRow& row = states_[state];
  if (row.accepts || state == kDead) return text;
  uint32_t best = members_[row.first];
  for (uint32_t i = row.first; i < row.last; ++i) {
    if (stacks_[members_[i]].least < stacks_[best].least) best = members_[i];
  }
  std::vector<uint32_t> places{stacks_[best].place};  // innermost last
  for (uint32_t frame = stacks_[best].frame;; frame = stacks_[best].frame) {
    while (!places.empty() && text.size() < most) {
      const uint32_t at = places.back();
      places.pop_back();
      const Place& place = places_[at];
      if (place.symbol == kEnd) continue;
      places.push_back(at + 1);
      if (place.is_rule) {
        places.push_back(first_place_[ir_->least_alternative[place.symbol]]);
      } else {
        text.push_back(static_cast<char>(plain_byte(ir_->sets[place.symbol])));
      }
    }
    const auto shorter = [this](uint32_t x, uint32_t y) { return least_of(x) < least_of(y); };
    best = *std::ranges::min_element(links(frame), shorter);
    if (best == kNone || text.size() >= most) return text;
    places = {stacks_[best].place};
  }
}

double Automaton::fullness() const {
  return std::max(static_cast<double>(stacks_.size() + links_.size()) / kMaxStacks,
                  static_cast<double>(table_.size()) / kMaxTableEntries);
}

}  // namespace quern::grammar
