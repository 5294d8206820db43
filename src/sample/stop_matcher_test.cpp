#include "sample/stop_matcher.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace quern {
namespace {

struct Outcome {
  std::string text;
  std::optional<size_t> stopped;
};

// The definition: the first byte at which any stop string is complete; of those the longest.
Outcome naive(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::optional<size_t> best;
    for (size_t i = 0; i < stops.size(); ++i) {
      const bool here = stops[i].size() <= end && text.compare(end - stops[i].size(), stops[i].size(), stops[i]) == 0;
      if (here && (!best || stops[i].size() > stops[*best].size())) best = i;
    }
    if (best) return {text.substr(0, end - stops[*best].size()), best};
  }
  return {text, std::nullopt};
}

TEST(StopMatcher, EqualsTheNaiveSearchUnderRandomSplits) {
  SplitMix64 rng(5);
  int stopped = 0;
  for (int round = 0; round < 5000; ++round) {
    const auto word = [&rng](size_t least, size_t most) {
      std::string s(least + rng.next() % (most - least + 1), 'a');
      for (char& c : s) c = "abc"[rng.next() % 3];
      return s;
    };
    std::vector<std::string> stops(rng.next() % 4);
    for (std::string& s : stops) s = word(1, 7);
    const std::string text = word(0, 40);
    const Outcome want = naive(stops, text);
    auto matcher = StopMatcher::make(stops);
    ASSERT_TRUE(matcher.has_value());
    std::string got;
    for (size_t at = 0; at < text.size();) {
      const size_t n = std::min<size_t>(text.size() - at, rng.next() % 5);
      got += matcher->feed(std::string_view(text).substr(at, n));
      at += n;
      // What was emitted is never taken back, and nothing is held back without need.
      ASSERT_EQ(got, want.text.substr(0, got.size())) << "round " << round;
      if (matcher->stopped()) continue;
      bool needed = got.size() == at;
      for (const std::string& s : stops) {
        const size_t held = at - got.size();
        needed |= held < s.size() && text.compare(got.size(), held, s, 0, held) == 0;
      }
      ASSERT_TRUE(needed) << "round " << round << " holds back without need";
    }
    got += matcher->finish();
    ASSERT_EQ(got, want.text) << "round " << round;
    ASSERT_EQ(matcher->stopped(), want.stopped) << "round " << round;
    stopped += want.stopped.has_value();
  }
  EXPECT_GT(stopped, 1000);
  EXPECT_LT(stopped, 4900);
}

TEST(StopMatcher, NothingIsEmittedAfterTheStop) {
  auto m = StopMatcher::make({"</s>"});
  EXPECT_EQ(m->feed("hi<"), "hi");
  EXPECT_EQ(m->feed("/s>more"), "");
  EXPECT_EQ(m->stopped(), 0u);
  EXPECT_EQ(m->feed("text"), "");
  EXPECT_EQ(m->finish(), "");
}

TEST(StopMatcher, ABrokenOffStopIsGivenBack) {
  auto m = StopMatcher::make({"END"});
  EXPECT_EQ(m->feed("E"), "");
  EXPECT_EQ(m->feed("N"), "");
  EXPECT_EQ(m->feed("EN"), "EN");
  EXPECT_EQ(m->finish(), "EN");
  EXPECT_EQ(m->finish(), "");
  EXPECT_FALSE(m->stopped().has_value());
}

TEST(StopMatcher, WholeCharactersInGiveWholeCharactersOut) {
  auto m = StopMatcher::make({"\xC3\xA9"});
  EXPECT_EQ(m->feed("x\xC3\xA8"), "x\xC3\xA8");
  EXPECT_EQ(m->feed("\xC3\xA9"), "");
  EXPECT_TRUE(m->stopped().has_value());
}

TEST(StopMatcher, LinearOnTextMadeOfPrefixes) {
  // 4096 a's then b, against 2 MB of a's: quadratic time would be 8e9 steps.
  auto m = StopMatcher::make({std::string(4095, 'a') + "b"});
  const std::string piece(1 << 16, 'a');
  size_t emitted = 0;
  for (int i = 0; i < 32; ++i) emitted += m->feed(piece).size();
  EXPECT_EQ(emitted, 32u * (1 << 16) - 4095);
  EXPECT_EQ(m->finish().size(), 4095u);
}

TEST(StopMatcher, RefusesWhatItCannotMatch) {
  EXPECT_FALSE(StopMatcher::make({""}).has_value());
  EXPECT_FALSE(StopMatcher::make({std::string(4097, 'x')}).has_value());
  EXPECT_FALSE(StopMatcher::make(std::vector<std::string>(65, "x")).has_value());
}

}  // namespace
}  // namespace quern
