// The rows of families.cpp, one file each. Constants.
#pragma once

#include "chat/tools/family.h"

namespace quern::tools {

extern const Family kApertus, kApriel, kCommandR7b, kCommandRPlus, kDeepSeek, kDeepSeekDsmlCalls, kDeepSeekDsmlTools,
    kFirefunction, kFunctionary, kGemma4, kGeneric, kGigaChat3, kGigaChat31, kGlm, kGlmTight, kGranite, kHarmony,
    kHermes, kKimi, kLfm2, kLlama3, kMiniMax, kMistralArray, kMistralIds, kMistralNamed, kQwenCoder, kSeed;
extern const Family kFencedJson, kFencedPython, kBareJson, kBareArray, kPythonList, kPythonLine, kInvoke;

}  // namespace quern::tools
