#include <algorithm>
#include <span>

#include "text/pretokenizer.h"
#include "text/stages.h"

namespace quern {
namespace {

using namespace stages;

struct CodePointRange {
  uint32_t first, last;
};

bool in_ranges(std::span<const CodePointRange> sorted, uint32_t cp) {
  const auto it = std::upper_bound(sorted.begin(), sorted.end(), cp,
                                   [](uint32_t value, const CodePointRange& range) { return value < range.first; });
  return it != sorted.begin() && cp <= std::prev(it)->last;
}

template <uint8_t Classes>
bool is_class(const ClassifiedChar& c) {
  return c.is(Classes);
}
bool is_line_end(const ClassifiedChar& c) {
  return c.cp == '\r' || c.cp == '\n';
}
bool is_line_feed(const ClassifiedChar& c) {
  return c.cp == '\n';
}
int line_kind(const ClassifiedChar& c) {
  return is_line_feed(c) ? 1 : 2;
}
bool is_blank(const ClassifiedChar& c) {
  return c.cp == ' ';
}

// DeepSeek LLM's letters: the cased letters of the scripts that it lists.
constexpr CodePointRange kDeepSeekLetters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
    {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
    {0x376, 0x376},     {0x377, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},
    {0x388, 0x38A},     {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},
    {0x48A, 0x52F},     {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},
    {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},
    {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x3CE},    {0x1F80, 0x1FB4},
    {0x1FB6, 0x1FBC},   {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},
    {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},
    {0x213C, 0x213F},   {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2183},   {0x2184, 0x2184},
    {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF2},   {0x2CF3, 0x2CF3},
    {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},
    {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2},
    {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};
bool is_deepseek_letter(const ClassifiedChar& c) {
  return c.len != 0 && in_ranges(kDeepSeekLetters, c.cp);
}

// [!-/:-~！-／：-～‘-‟　-。]
bool is_deepseek_punct(const ClassifiedChar& c) {
  static constexpr CodePointRange kRanges[] = {{0x21, 0x2F},     {0x3A, 0x7E},     {0x2018, 0x201F},
                                               {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
  return c.len != 0 && in_ranges(kRanges, c.cp);
}

// [一-龥ࠀ-一가-퟿], as published; the middle range takes in much more than CJK.
bool is_deepseek_cjk(const ClassifiedChar& c) {
  return (c.cp >= 0x800 && c.cp <= 0x9FA5) || (c.cp >= 0xAC00 && c.cp <= 0xD7FF);
}

// [一-龥぀-ゟ゠-ヿ]
bool is_deepseek3_cjk(const ClassifiedChar& c) {
  return (c.cp >= 0x4E00 && c.cp <= 0x9FA5) || (c.cp >= 0x3040 && c.cp <= 0x30FF);
}

// [가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+
int youtu_kind(const ClassifiedChar& c) {
  static constexpr CodePointRange kPunctuation[] = {{0x2014, 0x2014}, {0x2018, 0x2019}, {0x201C, 0x201D},
                                                    {0x2026, 0x2026}, {0x3001, 0x303F}, {0xFE30, 0xFE4F},
                                                    {0xFF01, 0xFF01}, {0xFF0C, 0xFF0C}, {0xFF1A, 0xFF1B}};
  if (c.len == 0) return 0;
  if ((c.cp >= 0xAC00 && c.cp <= 0xD7A3) || (c.cp >= 0x3131 && c.cp <= 0x318E)) return 1;
  if (in_ranges(kPunctuation, c.cp)) return 2;
  if (c.cp >= 0x3105 && c.cp <= 0x312F) return 3;
  return is_deepseek3_cjk(c) ? 4 : 0;
}

// The scripts that AFMoE isolates: Han, kana, Thai, Lao, Khmer, Burmese, Hangul.
bool is_afmoe_asian(const ClassifiedChar& c) {
  static constexpr CodePointRange kRanges[] = {{0x0E00, 0x0EFF}, {0x1000, 0x109F}, {0x1100, 0x11FF}, {0x1780, 0x17FF},
                                               {0x2F00, 0x2FDF}, {0x3040, 0x30FF}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF},
                                               {0xA9E0, 0xA9FF}, {0xAA60, 0xAA7F}, {0xAC00, 0xD7AF}, {0xF900, 0xFAFF},
                                               {0xFF65, 0xFF9F}};
  return c.len != 0 && in_ranges(kRanges, c.cp);
}

// [^(\s|.,!?…。，、।۔،)]
bool is_bloom_word(const ClassifiedChar& c) {
  switch (c.cp) {
    case '(':
    case ')':
    case '|':
    case '.':
    case ',':
    case '!':
    case '?':  // clang-format off
    case 0x060C: case 0x06D4: case 0x0964: case 0x2026: case 0x3001: case 0x3002: case 0xFF0C:  // clang-format on
      return false;
    default:
      return c.is_not(kSpace);
  }
}

// [\p{P}$+<=>^~|`] and, for "default", the same without the backtick.
bool is_falcon_punct(const ClassifiedChar& c) {
  return c.is(kPunct) || (c.cp < 128 && c.is(kSymbol));
}
bool is_default_punct(const ClassifiedChar& c) {
  return is_falcon_punct(c) && c.cp != '`';
}

constexpr StageFn kDigit = run<is_class<kNumber>, 1>;
constexpr StageFn kDigits3 = run<is_class<kNumber>, 3>;
constexpr StageFn kDigits = run<is_class<kNumber>, 0>;
constexpr StageFn kLineEnd = run<is_line_end, 1>;
constexpr StageFn kBloom = spaced_run<is_blank, is_bloom_word>;
constexpr StageFn kLlama3 = words<WordRules{.digits = 3}>;
constexpr StageFn kQwen2 = words<WordRules{.digits = 1}>;
constexpr StageFn kDeepSeek3Words = words<WordRules{.words = Words::kDeepSeek3, .contraction_first = false}>;
constexpr StageFn kGpt4o = words<WordRules{.words = Words::kCased,
                                           .contraction_first = false,
                                           .contraction_last = true,
                                           .digits = 3,
                                           .tail = Tail::kNewlinesSlash}>;
constexpr StageFn kYoutuWords = words<WordRules{.words = Words::kCased,
                                                .contraction_first = false,
                                                .contraction_last = true,
                                                .digits = 1,
                                                .tail = Tail::kNewlinesSlash}>;
constexpr StageFn kTekken =
    words<WordRules{.words = Words::kCased, .contraction_first = false, .digits = 1, .tail = Tail::kNewlinesSlash}>;
constexpr StageFn kKimi =
    words<WordRules{.words = Words::kCasedHan, .contraction_first = false, .contraction_last = true, .digits = 3}>;
constexpr StageFn kExaoneMoe = words<WordRules{.words = Words::kJoined, .digits = 1, .tail = Tail::kOneNewlineSlash}>;

const PreTokenizer kPreTokenizers[] = {
    {.names = "default", .stages = {run<is_default_punct, 0>, gpt2, kDigits, ascii_digit_triple}},
    {.names = "gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert exaone4 mpt olmo "
              "jais trillion granite-docling",
     .stages = {gpt2}},
    {.names = "jina-v1-en jina-v2-code roberta-bpe", .stages = {gpt2}, .add_sep = true},
    {.names = "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", .stages = {kDigit, gpt2}},
    {.names = "falcon", .stages = {run<is_falcon_punct, 0>, gpt2, ascii_digit_triple}},
    {.names = "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
     .stages = {kLlama3},
     .ignore_merges = true,
     .add_bos = true},
    {.names = "dbrx smaug-bpe glm4 chatglm-bpe", .stages = {kLlama3}},
    {.names = "minicpm5", .stages = {kDigits3, words<WordRules{}>}, .ignore_merges = true},
    {.names = "jais-2", .stages = {words<WordRules{.digits = 3, .halving_space = true}>}},
    {.names =
         "qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan solar-open grok-2 bailingmoe bailingmoe2 llada-moe kormo "
         "f2llmv2",
     .stages = {kQwen2}},
    {.names = "qwen35", .stages = {words<WordRules{.words = Words::kMarked, .digits = 1}>}},
    {.names = "laguna", .stages = {kind_run<line_kind>, kQwen2}},
    {.names = "ufakzeka", .stages = {words<WordRules{.contraction_first = false, .digits = 1}>}},
    {.names = "seed-coder", .stages = {words<WordRules{.digits = 1, .tail = Tail::kNone}>}},
    {.names = "exaone-moe", .stages = {kExaoneMoe}},
    {.names = "gpt-4o llama4 kanana2 talkie minimax-m2", .stages = {kGpt4o}},
    {.names = "granite-embed-multi-97m", .stages = {kGpt4o}, .ignore_merges = true},
    {.names = "tiny_aya cohere2moe", .stages = {digits_from_right_before_boundary, kGpt4o}},
    {.names = "tekken", .stages = {kTekken}, .ignore_merges = true, .add_bos = true},
    {.names = "kimi-k2", .stages = {kKimi}},
    {.names = "youtu", .stages = {kind_run<youtu_kind>, kYoutuWords}, .ignore_merges = true},
    {.names = "deepseek-llm",
     .stages = {kLineEnd, spaced_run<is_class<kSpace>, is_deepseek_letter>,
                spaced_run<is_class<kSpace>, is_deepseek_punct>, trailing_space, run<is_deepseek_cjk, 0>, kDigits}},
    {.names = "deepseek-coder",
     .stages = {kLineEnd, spaced_run<is_class<kSpace>, is_class<kLetter>>,
                spaced_run<is_class<kSpace>, is_class<kPunct>>, run<is_deepseek_cjk, 0>, kDigit}},
    {.names = "deepseek-v3 hunyuan-dense joyai-llm hy_v4",
     .stages = {kDigits3, run<is_deepseek3_cjk, 0>, kDeepSeek3Words}},
    {.names = "afmoe", .stages = {digits_from_right, run<is_afmoe_asian, 0>, kDeepSeek3Words}},
    {.names = "superbpe", .stages = {kDigits, digits_from_right}},
    {.names = "bloom poro-chat gpt3-finnish", .stages = {kBloom}},
    {.names = "viking", .stages = {kBloom, kDigit}},
    // Its sentinel and image tokens are special tokens, cut out before any pre-tokenizer.
    {.names = "chameleon", .stages = {indent, kDigit, run<is_falcon_punct, 1>, gpt2}, .add_bos = true},
};

template <class Visit>
void for_each_name(std::string_view names, Visit&& visit) {
  while (!names.empty()) {
    const size_t end = std::min(names.find(' '), names.size());
    visit(names.substr(0, end));
    names.remove_prefix(std::min(end + 1, names.size()));
  }
}

}  // namespace

std::vector<std::string_view> pretokenizer_names() {
  std::vector<std::string_view> all;
  for (const PreTokenizer& pre : kPreTokenizers) {
    for_each_name(pre.names, [&](std::string_view name) { all.push_back(name); });
  }
  std::sort(all.begin(), all.end());
  return all;
}

Result<const PreTokenizer*> find_pretokenizer(std::string_view name) {
  if (name.empty()) name = "default";
  for (const PreTokenizer& pre : kPreTokenizers) {
    bool found = false;
    for_each_name(pre.names, [&](std::string_view known) { found = found || known == name; });
    if (found) return &pre;
  }
  std::string known;
  for (const std::string_view n : pretokenizer_names()) known += (known.empty() ? "" : ", ") + std::string(n);
  return fail_f(ErrorCode::kUnsupported,
                "tokenizer.ggml.pre is \"{}\", a pre-tokenizer that this version does not know; it knows {}", name,
                known);
}

}  // namespace quern
