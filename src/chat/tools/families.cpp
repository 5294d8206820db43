#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

// The more special before the more general: `<tool_call>` alone is Hermes's.
constexpr const Family* kFamilies[] = {
    &kHarmony,
    &kDeepSeekDsmlCalls,
    &kDeepSeekDsmlTools,
    &kDeepSeek,
    &kKimi,
    &kMiniMax,
    &kGlm,
    &kGlmTight,
    &kSeed,
    &kQwenCoder,
    &kGemma4,
    &kCommandR7b,
    &kApertus,
    &kApriel,
    &kGigaChat31,
    &kGigaChat3,
    &kMistralIds,
    &kMistralNamed,
    &kMistralArray,
    &kGranite,
    &kFirefunction,
    &kFunctionary,
    &kHermes,
    &kLlama3,
    &kLfm2,
    &kCommandRPlus,
    &kGeneric,
};
constexpr const Family* kPlain[] = {&kFencedJson, &kFencedPython, &kBareJson, &kBareArray, &kPythonList, &kPythonLine};

constexpr ReasoningMarks kReasoning[] = {
    {"<|channel|>analysis<|message|>", "<|end|>", true},
    {"<|channel>thought", "<channel|>", true},
    {"<seed:think>", "</seed:think>"},
    {"[THINK]", "[/THINK]"},
    {"<|START_THINKING|>", "<|END_THINKING|>", true},
    {"<|inner_prefix|>", "<|inner_suffix|>", true},
    {"Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"},
    {"<think>", "</think>"},
};

}  // namespace

std::span<const Family* const> families() {
  return kFamilies;
}
std::span<const Family* const> plain_families() {
  return kPlain;
}
const Family& generic_family() {
  return kGeneric;
}
const ReasoningMarks& default_reasoning() {
  return kReasoning[std::size(kReasoning) - 1];
}

const ReasoningMarks& reasoning_marks(std::string_view source) {
  for (const ReasoningMarks& marks : kReasoning) {
    // Of a channel only its token may stand in the source, the name being put behind it by an expression.
    if (has(source, marks.open) || (marks.anywhere && has(source, marks.open.substr(0, marks.open.find('>') + 1)))) {
      return marks;
    }
  }
  return default_reasoning();
}

}  // namespace quern::tools
