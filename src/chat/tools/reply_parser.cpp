#include "chat/tools/reply_parser.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr size_t kMaxProblems = 16;

std::string make_id(uint64_t seed, uint64_t number) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  uint64_t z = seed + (number + 1) * 0x9E3779B97F4A7C15u;  // splitmix64
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  std::string id;
  for (int i = 0; i < 9; ++i, z /= kLetters.size()) id.push_back(kLetters[z % kLetters.size()]);
  return id;
}

bool allowed(Where wanted, Where place) {
  return static_cast<int>(wanted) <= static_cast<int>(place);
}

}  // namespace

ReplyParser::ReplyParser(const ToolFormat& format, std::shared_ptr<const ToolSet> tools, const ParserOptions& options)
    : tools_(std::move(tools)), id_seed_(options.id_seed) {
  if (!options.only_calls) add_reasoning(format.reasoning());
  options.only_calls ? add_opener(format.family(), Where::kAnywhere) : add_markers(format);
  note_first_bytes();
  if (options.reasoning_open) mode_ = Mode::kReasoning;
}

ReplyParser::ReplyParser(Plain, std::shared_ptr<const ToolSet> tools, uint64_t id_seed, size_t first_call)
    : tools_(std::move(tools)), id_seed_(id_seed), n_begun_(first_call) {
  add_markers(ToolFormat::any());
  note_first_bytes();
}

ReplyParser::~ReplyParser() = default;

void ReplyParser::add_opener(const Family& family, Where where) {
  const std::string text = opener_of(family);
  const auto known = std::ranges::find_if(
      markers_, [&](const Marker& m) { return m.kind == MarkerKind::kOpener && m.text == text && m.where == where; });
  if (known == markers_.end()) {
    markers_.push_back({text, MarkerKind::kOpener, where, {&family}});
  } else if (std::ranges::find(known->families, &family) == known->families.end()) {
    known->families.push_back(&family);
  }
  for (const Family* other : family.also) add_opener(*other, other->where);
}

void ReplyParser::add_plain(Where where) {
  for (const Family* family : plain_families()) {
    if (family != &kPythonLine) add_opener(*family, where);
  }
  for (const Tool& tool : tools_->all()) {
    markers_.push_back({tool.name + "(", MarkerKind::kOpener, where, {&kPythonLine}});
  }
}

void ReplyParser::add_markers(const ToolFormat& format) {
  if (!tools_->empty() && format.reads_all()) {
    for (const Family* family : families()) {
      if (family->where == Where::kAnywhere) add_opener(*family, Where::kAnywhere);
      for (const Family* other : family->also) add_opener(*other, other->where);
    }
    add_opener(kInvoke, Where::kAnywhere);
    add_plain(Where::kLineStart);
  } else if (!tools_->empty()) {
    // Other families with the same opener are read too: models mix what stands behind <tool_call>.
    add_opener(format.family(), format.family().where);
    const std::string opener = opener_of(format.family());
    for (const Family* family : families()) {
      if (opener_of(*family) == opener) add_opener(*family, format.family().where);
    }
    add_plain(Where::kReplyStart);
    plain_left_ = true;
  }
  if (!format.reads_all()) {
    for (const std::string_view text : format.family().dropped) {
      markers_.push_back({std::string(text), MarkerKind::kDropped, Where::kAnywhere, {}});
    }
  }
}

void ReplyParser::add_reasoning(const ReasoningMarks& marks) {
  markers_.push_back(
      {std::string(marks.open), MarkerKind::kReasoning, marks.anywhere ? Where::kAnywhere : Where::kReplyStart, {}});
  markers_.push_back({std::string(marks.close), MarkerKind::kReasoningEnd, Where::kAnywhere, {}});
}

void ReplyParser::note_first_bytes() {
  for (const Marker& marker : markers_) first_bytes_[static_cast<unsigned char>(marker.text.front())] = true;
}

// Within reasoning only its end counts, and calls that their marker makes certain: a grammar that the marker switched
// on does not know where it stands.
bool ReplyParser::applies(const Marker& marker) const {
  if (mode_ != Mode::kReasoning) return marker.kind != MarkerKind::kReasoningEnd && allowed(marker.where, held_place_);
  if (marker.kind != MarkerKind::kOpener) return marker.kind == MarkerKind::kReasoningEnd;
  return marker.where == Where::kAnywhere &&
         std::ranges::none_of(marker.families, [](const Family* f) { return f->quiet; });
}

void ReplyParser::tell(Delta::Kind kind, std::string_view text) {
  const bool content = kind == Delta::Kind::kContent || kind == Delta::Kind::kReasoning;
  const size_t call = content || n_begun_ == 0 ? 0 : n_begun_ - 1;
  const bool joins = content || kind == Delta::Kind::kArguments;
  if (joins && !deltas_.empty() && deltas_.back().kind == kind && deltas_.back().call == call) {
    deltas_.back().text += text;
  } else {
    deltas_.push_back({kind, call, std::string(text), {}});
  }
}

void ReplyParser::flush_space() {
  if (!drop_space_) {
    reply_.content += space_;
    if (!space_.empty()) tell(Delta::Kind::kContent, space_);
  }
  drop_space_ = false;
  space_.clear();
}

void ReplyParser::put(char c) {
  if (is_space(c)) {
    space_.push_back(c);
    if (c == '\n' && place_ == Where::kAnywhere) place_ = Where::kLineStart;
    return;
  }
  flush_space();
  place_ = Where::kAnywhere;
  reply_.content.push_back(c);
  tell(Delta::Kind::kContent, std::string_view(&c, 1));
}

void ReplyParser::put_reasoning(char c) {
  if (is_space(c)) {
    space_.push_back(c);
    return;
  }
  if (!reply_.reasoning.empty()) {
    reply_.reasoning += space_;
    tell(Delta::Kind::kReasoning, space_);
  }
  space_.clear();
  reply_.reasoning.push_back(c);
  tell(Delta::Kind::kReasoning, std::string_view(&c, 1));
}

void ReplyParser::reached(const Marker& marker) {
  if (marker.kind == MarkerKind::kOpener) {
    from_reasoning_ = mode_ == Mode::kReasoning;
    mode_ = Mode::kCall;
    marker_ = &marker;
    reader_.reset();
    raw_ = marker.text;
    begun_ = false;
    quiet_ = from_reasoning_ || std::ranges::all_of(marker.families, [](const Family* f) { return f->quiet; });
    return;
  }
  if (mode_ == Mode::kReasoning || reply_.content.empty() || marker.kind == MarkerKind::kDropped) space_.clear();
  mode_ = marker.kind == MarkerKind::kReasoning ? Mode::kReasoning : Mode::kContent;
  drop_space_ = reply_.content.empty();
  place_ = Where::kReplyStart;
}

void ReplyParser::look(char c) {
  const auto out = [&](char byte) { mode_ == Mode::kReasoning ? put_reasoning(byte) : put(byte); };
  if (held_.empty()) {
    if (!first_bytes_[static_cast<unsigned char>(c)]) return out(c);
    held_place_ = place_;
  }
  held_.push_back(c);
  while (!held_.empty()) {
    bool more = false;
    for (const Marker& marker : markers_) {
      if (!std::string_view(marker.text).starts_with(held_) || !applies(marker)) continue;
      if (marker.text.size() == held_.size()) matched_ = &marker;
      more = more || marker.text.size() > held_.size();
    }
    if (more) return;
    if (matched_ != nullptr) return take_marker();
    out(held_.front());
    held_.erase(0, 1);
    held_place_ = place_;
  }
}

// The longest marker that `held_` begins with; what is behind it is looked at again.
void ReplyParser::take_marker() {
  const Marker& marker = *std::exchange(matched_, nullptr);
  const std::string rest = held_.substr(marker.text.size());
  held_.clear();
  reached(marker);
  for (const char c : rest) step(c);
}

// The first byte behind the opener tells which family writes.
void ReplyParser::choose(char c) {
  if (is_space(c)) return;
  std::string problem;
  size_t unread = 1;
  for (const Family* family : marker_->families) {
    auto reader = std::make_unique<CallReader>(*family, *tools_, static_cast<CallSink&>(*this));
    auto state = CallReader::State::kMore;
    for (size_t i = 0; i < raw_.size() && state == CallReader::State::kMore; ++i) state = reader->feed(raw_[i]);
    if (state == CallReader::State::kMore) {
      reader_ = std::move(reader);
      quiet_ = family->quiet || from_reasoning_;
      return;
    }
    if (problem.empty()) {
      problem = reader->problem();
      unread = reader->unread();
    }
  }
  lose(problem, unread);
}

void ReplyParser::in_call(char c) {
  raw_.push_back(c);
  if (reader_ == nullptr) return choose(c);
  settle(reader_->feed(c));
}

void ReplyParser::settle(CallReader::State state) {
  if (state == CallReader::State::kMore) return;
  if (state == CallReader::State::kFailed) return lose(reader_->problem(), reader_->unread());
  const size_t taken = raw_.size() - std::min(reader_->unread(), raw_.size());
  const std::string rest = raw_.substr(taken);
  if (!reply_.calls.empty()) reply_.calls.back().raw.append(raw_, 0, taken);
  raw_.clear();
  mode_ = Mode::kContent;
  drop_space_ = reply_.content.empty();
  place_ = Where::kReplyStart;
  for (const char c : rest) step(c);
}

// What has been read since the last whole call is content; what may begin something else is looked at again.
void ReplyParser::lose(const std::string& problem, size_t unread) {
  if (begun_) tell(Delta::Kind::kCallLost, {});
  if ((!quiet_ || begun_) && reply_.problems.size() < kMaxProblems) reply_.problems.push_back(problem);
  begun_ = false;
  mode_ = from_reasoning_ ? Mode::kReasoning : Mode::kContent;
  const size_t taken = raw_.size() - std::min(unread, raw_.size());
  const std::string text = std::move(raw_);
  raw_.clear();
  for (size_t i = 0; i < taken; ++i) from_reasoning_ ? put_reasoning(text[i]) : put(text[i]);
  for (size_t i = taken; i < text.size(); ++i) step(text[i]);
}

void ReplyParser::step(char c) {
  mode_ == Mode::kCall ? in_call(c) : look(c);
}

void ReplyParser::begin(const Tool& tool, std::string_view id) {
  call_ = {};
  call_.name = tool.name;
  call_.id = id.empty() ? make_id(id_seed_, n_begun_) : std::string(id);
  ++n_begun_;
  begun_ = true;
  tell(Delta::Kind::kCallBegin, call_.name);
  deltas_.back().id = call_.id;
}

void ReplyParser::arguments(std::string_view json) {
  call_.arguments += json;
  tell(Delta::Kind::kArguments, json);
}

void ReplyParser::end() {
  begun_ = false;
  // White space between two calls belongs to the second one's text; that before the first is dropped.
  call_.raw = any_call_ ? space_ + raw_ : raw_;
  any_call_ = true;
  raw_.clear();
  space_.clear();
  tell(Delta::Kind::kCallEnd, {});
  reply_.calls.push_back(std::move(call_));
}

std::vector<Delta> ReplyParser::feed(std::string_view text) {
  for (const char c : text) step(c);
  return std::exchange(deltas_, {});
}

ParsedReply ReplyParser::finish(std::vector<Delta>* rest) {
  if (matched_ != nullptr) take_marker();
  if (mode_ == Mode::kCall) {
    if (reader_ == nullptr) {
      lose("the text ends where a call begins", 0);
    } else {
      settle(reader_->finish());
    }
  }
  for (const char c : std::exchange(held_, {})) mode_ == Mode::kReasoning ? put_reasoning(c) : put(c);
  if (mode_ != Mode::kReasoning && !any_call_) flush_space();
  if (plain_left_ && !any_call_) parse_plain();
  if (rest != nullptr) *rest = std::move(deltas_);
  return std::move(reply_);
}

void ReplyParser::parse_plain() {
  const auto named = [&](const Tool& tool) { return has(reply_.content, tool.name); };
  if (std::ranges::none_of(tools_->all(), named)) return;
  ReplyParser plain(Plain{}, tools_, id_seed_, n_begun_);
  std::vector<Delta> told = plain.feed(reply_.content), ends;
  ParsedReply found = plain.finish(&ends);
  if (found.calls.empty()) return;
  told.insert(told.end(), std::make_move_iterator(ends.begin()), std::make_move_iterator(ends.end()));
  for (Delta& delta : told) {
    if (delta.kind != Delta::Kind::kContent) deltas_.push_back(std::move(delta));
  }
  reply_.content = std::move(found.content);
  reply_.calls = std::move(found.calls);
}

}  // namespace quern::tools

namespace quern {

Result<ParsedReply> parse_tool_calls(std::string_view text, std::string_view tools) {
  if (!tools::is_json(tools)) return fail(ErrorCode::kInvalidArgument, "tools must be a JSON array");
  const auto json = tools::Json::parse(tools, nullptr, false);
  if (json.is_discarded()) return fail(ErrorCode::kInvalidArgument, "tools must be a JSON array");
  QUERN_TRY(auto set, tools::ToolSet::read(json));
  tools::ReplyParser parser(tools::ToolFormat::any(), std::make_shared<const tools::ToolSet>(std::move(set)));
  parser.feed(text);
  return parser.finish();
}

}  // namespace quern
