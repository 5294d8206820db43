// The smallest program on quern: loads a model, answers a prompt, prints the text as it comes.
//
//   embed MODEL.gguf [PROMPT]
#include <quern/quern.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: embed MODEL.gguf [PROMPT]\n");
    return 2;
  }
  auto engine = quern::Engine::load({.model_path = argv[1]});
  if (!engine) {
    std::fprintf(stderr, "%s\n", engine.error().message.c_str());
    return 1;
  }
  quern::GenerateOptions options{.max_tokens = 48};
  options.sampling.seed = 7;
  const auto prompt = (*engine)->tokenize(argc > 2 ? argv[2] : "Once upon a time");
  const auto result = (*engine)->generate(prompt, options, [](const quern::TokenEvent& token) {
    std::fwrite(token.text.data(), 1, token.text.size(), stdout);
    return std::fflush(stdout) == 0;  // false would end the text
  });
  if (!result) std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::printf("\n");
  return result ? 0 : 1;
}
