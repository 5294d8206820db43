#include "grammar/matcher.h"

#include <algorithm>
#include <optional>

namespace quern::grammar {
namespace {

constexpr size_t kMostForcedBytes = 4096;  // at a time
constexpr double kWorn = 0.25;             // of an automaton's limits

// What the vocabulary can write of the grammar, so that the shortest end is none that it cannot. Where it can write
// nothing the grammar stays as it is, and the first mask says so.
std::shared_ptr<const Ir> writable(std::shared_ptr<const Ir> ir, const ByteSet& bytes) {
  const auto whole = [&](const ByteSet& set) { return (set & ~bytes).empty(); };
  if (std::all_of(ir->sets.begin(), ir->sets.end(), whole)) return ir;
  auto part = with_bytes(*ir, bytes);
  return part ? std::make_shared<const Ir>(std::move(*part)) : ir;
}

}  // namespace

GrammarRun::GrammarRun(std::shared_ptr<const Ir> ir, std::shared_ptr<const Vocabulary> tokens, Encode tokenize)
    : automaton(writable(std::move(ir), tokens->bytes_of_all())),
      vocabulary(std::move(tokens)),
      masks(vocabulary, automaton),
      encode(std::move(tokenize)) {}

Matcher::Matcher(std::shared_ptr<GrammarRun> run, std::vector<std::string> triggers)
    : run_(std::move(run)), triggers_(std::move(triggers)), active_(triggers_.empty()) {
  if (active_) state_ = run_->automaton.start();
  for (const std::string& t : triggers_) tail_most_ = std::max(tail_most_, t.size());
}

Result<const std::vector<uint32_t>*> Matcher::mask() {
  if (run_->automaton.fullness() > kWorn) run_->worn = true;
  const std::vector<uint32_t>& words = run_->masks.of(state_);
  if (std::any_of(words.begin(), words.end(), [](uint32_t w) { return w != 0; })) return &words;
  if (run_->automaton.exhausted()) {
    return fail(ErrorCode::kResource, "the grammar is too large or too ambiguous to be followed: simplify it");
  }
  return fail(ErrorCode::kInvalidArgument, "the model has no token for what the grammar asks for next");
}

void Matcher::accept(int32_t id) {
  const std::string_view bytes = run_->vocabulary->bytes(id);
  if (active_) {
    state_ = run_->automaton.next(state_, bytes);
  } else {
    look_for_trigger(bytes);
  }
}

// A special token may be a trigger: it is written with kSpecialByte here, and without in the trigger.
void Matcher::look_for_trigger(std::string_view bytes) {
  tail_ += bytes;
  size_t begin = std::string::npos;
  for (const std::string& t : triggers_) begin = std::min(begin, tail_.find(t));
  if (begin == std::string::npos) {
    if (tail_.size() > tail_most_) tail_.erase(0, tail_.size() - tail_most_);
    return;
  }
  if (begin > 0 && static_cast<uint8_t>(tail_[begin - 1]) == kSpecialByte) --begin;
  state_ = run_->automaton.next(run_->automaton.start(), std::string_view(tail_).substr(begin));
  active_ = state_ != Automaton::kDead;
  if (!active_) tail_.erase(0, begin + 1);  // the token went on in another way: it was no call
}

bool Matcher::complete() const {
  return active_ && run_->automaton.complete(state_);
}

// As the tokenizer writes the text, where that gives its bytes back; else the longest tokens, one after the other.
std::vector<int32_t> Matcher::tokens_of(const std::string& text) const {
  const Vocabulary& v = *run_->vocabulary;
  if (text.find(static_cast<char>(kSpecialByte)) == std::string::npos) {
    std::vector<int32_t> ids = run_->encode(text);
    size_t at = 0;
    for (const int32_t id : ids) {
      const std::string_view bytes = v.bytes(id);
      if (bytes.empty() || text.compare(at, bytes.size(), bytes) != 0) {
        at = std::string::npos;
        break;
      }
      at += bytes.size();
    }
    if (at == text.size()) return ids;
  }
  std::vector<int32_t> ids;
  for (size_t at = 0; at < text.size();) {
    const int32_t id = v.longest(std::string_view(text).substr(at));
    if (id < 0) return {};
    ids.push_back(id);
    at += v.bytes(id).size();
  }
  return ids;
}

std::vector<int32_t> Matcher::forced() {
  if (!active_) return {};
  Automaton& a = run_->automaton;
  std::string text;
  Automaton::State state = state_;
  for (int byte = a.only_byte(state); byte >= 0 && text.size() < kMostForcedBytes; byte = a.only_byte(state)) {
    text.push_back(static_cast<char>(byte));
    state = a.next(state, static_cast<uint8_t>(byte));
  }
  if (text.empty()) return {};
  std::vector<int32_t> ids = tokens_of(text);
  if (ids.empty() || a.complete(state)) return ids;
  const std::string_view last = run_->vocabulary->bytes(ids.back());
  const auto takes = [&](uint8_t byte) { return a.next(state, byte) != Automaton::kDead; };
  if (run_->vocabulary->goes_on(last, takes)) ids.pop_back();
  return ids;
}

std::optional<std::vector<int32_t>> Matcher::end_from(Automaton::State state, size_t most) {
  if (!active_ || state == Automaton::kDead) return std::nullopt;
  const std::string text = run_->automaton.shortest_end(state, most * Vocabulary::kLongest + 1);
  if (text.empty()) return std::vector<int32_t>{};
  std::vector<int32_t> ids = tokens_of(text);
  if (ids.empty() || ids.size() > most) return std::nullopt;
  return ids;
}

bool Matcher::can_end_after(int32_t id, size_t most) {
  if (!active_) return true;
  if (run_->vocabulary->is_end(id)) return true;
  const Automaton::State to = run_->automaton.next(state_, run_->vocabulary->bytes(id));
  return run_->automaton.least_bytes(to) <= most || end_from(to, most).has_value();
}

}  // namespace quern::grammar
