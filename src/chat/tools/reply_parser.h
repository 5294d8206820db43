// ReplyParser: takes a model's reply apart as it comes: content, reasoning, calls. Only what may yet become a marker,
// and white space that a marker may follow, is held back.
//
// A call that stands within reasoning ends it. A reply without calls and reasoning comes out byte by byte as it went
// in. A call that turns out malformed comes back as content, with the reason in ParsedReply::problems. Pieces of the
// input may be cut anywhere, even within a character: the result is the same, and every byte is looked at a bounded
// number of times. The text must have special tokens written out. One thread at a time.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/tools/call_reader.h"
#include "chat/tools/tool_format.h"
#include "quern/tools.h"

namespace quern::tools {

struct Delta {
  enum class Kind : uint8_t {
    kContent,
    kReasoning,
    kCallBegin,  // `text` is the name
    kArguments,  // `text` is a piece of the JSON text
    kCallEnd,
    kCallLost,  // the call was malformed: its text follows as content
  };
  Kind kind = Kind::kContent;
  size_t call = 0;  // counts begun calls
  std::string text;
  std::string id;  // with kCallBegin
};

struct ParserOptions {
  bool reasoning_open = false;  // the prompt ended within the reasoning, see ToolFormat::opens_reasoning()
  uint64_t id_seed = 0;         // ids of calls are made from it and the call's number
  bool only_calls = false;      // the text is a prompt: nothing but the format's own calls is looked for, anywhere
};

class ReplyParser : private CallSink {
 public:
  ReplyParser(const ToolFormat& format, std::shared_ptr<const ToolSet> tools, const ParserOptions& options = {});
  ~ReplyParser() override;
  ReplyParser(const ReplyParser&) = delete;
  ReplyParser& operator=(const ReplyParser&) = delete;

  std::vector<Delta> feed(std::string_view text);
  // The end of the reply; `rest` gets what was held back. Calls written as plain text within the content are found only
  // now: they are out of ParsedReply::content, and told in `rest`, though the text was told as content before. Once.
  ParsedReply finish(std::vector<Delta>* rest = nullptr);

  // Whether what was fed ends within the reasoning.
  [[nodiscard]] bool in_reasoning() const { return mode_ == Mode::kReasoning; }

 private:
  enum class Mode : uint8_t { kContent, kReasoning, kCall };
  enum class MarkerKind : uint8_t { kOpener, kReasoning, kReasoningEnd, kDropped };
  struct Marker {
    std::string text;
    MarkerKind kind;
    Where where;
    std::vector<const Family*> families;
  };
  struct Plain {};  // the parser of what another one found to be content
  ReplyParser(Plain, std::shared_ptr<const ToolSet> tools, uint64_t id_seed, size_t first_call);

  void add_opener(const Family& family, Where where);
  void add_markers(const ToolFormat& format);
  void add_reasoning(const ReasoningMarks& marks);
  void note_first_bytes();
  void add_plain(Where where);
  void step(char c);
  [[nodiscard]] bool applies(const Marker& marker) const;
  void look(char c);
  void take_marker();
  void in_call(char c);
  void choose(char c);
  void reached(const Marker& marker);
  void settle(CallReader::State state);
  void lose(const std::string& problem, size_t unread);
  void put(char c);
  void put_reasoning(char c);
  void flush_space();
  void tell(Delta::Kind kind, std::string_view text);
  void parse_plain();

  // CallSink
  void begin(const Tool& tool, std::string_view id) override;
  void arguments(std::string_view json) override;
  void end() override;

  std::shared_ptr<const ToolSet> tools_;
  uint64_t id_seed_;
  bool plain_left_ = false;  // content is to be looked through at the end
  std::vector<Marker> markers_;
  std::array<bool, 256> first_bytes_{};

  Mode mode_ = Mode::kContent;
  std::string held_;                 // what may become a marker
  const Marker* matched_ = nullptr;  // the longest that `held_` begins with
  Where place_ = Where::kReplyStart, held_place_ = Where::kReplyStart;
  std::string space_;        // white space that is content only if more content follows
  bool drop_space_ = false;  // white space behind a marker
  bool any_call_ = false;

  std::string raw_;  // of the call that is being read; `space_` stands before it
  const Marker* marker_ = nullptr;
  std::unique_ptr<CallReader> reader_;
  bool quiet_ = false, begun_ = false, from_reasoning_ = false;
  size_t n_begun_ = 0;
  ToolCall call_;

  std::vector<Delta> deltas_;
  ParsedReply reply_;
};

}  // namespace quern::tools
