#include "sample/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>

#include "base/rng.h"

namespace quern {
namespace {

using testing::HasSubstr;

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

SamplingOptions neutral() {
  SamplingOptions o;
  o.temperature = 1;
  o.top_k = 0;
  o.top_p = 1;
  o.min_p = 0;
  return o;
}

std::vector<float> random_logits(size_t n, uint64_t seed, float scale = 4) {
  SplitMix64 rng(seed);
  std::vector<float> z(n);
  for (float& x : z) x = scale * rng.next_float();
  return z;
}

Sampler make_sampler(const SamplingOptions& o, size_t n_vocab, uint32_t index = 0, size_t n_ctx = 4096) {
  auto s = Sampler::make(o, {.n_vocab = n_vocab, .n_ctx = n_ctx, .sample_index = index, .dry_breakers = {}});
  EXPECT_TRUE(s.has_value()) << s.error().message;
  return *s;
}

std::map<int32_t, double> distribution_of(Sampler& s, const std::vector<float>& z, TokenMask mask = {}) {
  const auto d = s.distribution(z, mask);
  EXPECT_TRUE(d.has_value()) << d.error().message;
  std::map<int32_t, double> out;
  for (const Candidate& c : *d) out[c.id] = c.weight;
  return out;
}

// The brute-force reference: whole sorts and std:: functions, each stage from its definition.
struct Reference {
  struct Item {
    int32_t id;
    double z;
    double p;
  };
  std::vector<Item> items;

  void softmax(double t = 1) {
    double max = -INFINITY;
    for (auto& i : items) max = std::max(max, i.z);
    double sum = 0;
    for (auto& i : items) sum += i.p = std::exp((i.z - max) / t);
    for (auto& i : items) i.p /= sum;
  }
  void sort() {
    std::sort(items.begin(), items.end(),
              [](auto& a, auto& b) { return std::pair(-a.z, a.id) < std::pair(-b.z, b.id); });
  }
  void cut(size_t n) { items.resize(std::min(n, items.size())); }
};

std::map<int32_t, double> reference(const SamplingOptions& o, const std::vector<float>& z) {
  Reference r;
  for (size_t i = 0; i < z.size(); ++i) {
    if (z[i] > kForbidden) r.items.push_back({static_cast<int32_t>(i), static_cast<double>(z[i]), 0});
  }
  r.sort();
  if (o.top_k > 0) r.cut(static_cast<size_t>(o.top_k));
  if (o.typical_p < 1) {
    r.softmax();
    double entropy = 0;
    for (auto& i : r.items) entropy -= i.p * std::log(i.p);
    const auto atypical = [&](auto& i) { return std::tuple(std::fabs(-std::log(i.p) - entropy), -i.z, i.id); };
    std::sort(r.items.begin(), r.items.end(), [&](auto& x, auto& y) { return atypical(x) < atypical(y); });
    double sum = 0;
    for (size_t i = 0; i < r.items.size(); ++i) {
      sum += r.items[i].p;
      if (sum > static_cast<double>(o.typical_p)) r.cut(i + 1);
    }
    r.sort();
  }
  if (o.top_p < 1) {
    r.softmax();
    double sum = 0;
    for (size_t i = 0; i < r.items.size(); ++i) {
      sum += r.items[i].p;
      if (sum >= static_cast<double>(o.top_p)) r.cut(i + 1);
    }
  }
  if (o.min_p > 0) {
    r.softmax();
    const double least = static_cast<double>(o.min_p) * r.items.front().p;
    std::erase_if(r.items, [&](auto& i) { return i.p < least; });
  }
  r.softmax(static_cast<double>(o.temperature));
  std::map<int32_t, double> out;
  for (auto& i : r.items) out[i.id] = i.p;
  return out;
}

void expect_same(const std::map<int32_t, double>& got, const std::map<int32_t, double>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (const auto& [id, p] : want) {
    ASSERT_TRUE(got.contains(id)) << what << " token " << id;
    ASSERT_NEAR(got.at(id), p, 1e-12) << what << " token " << id;
  }
}

TEST(Sampler, EqualsTheBruteForceReference) {
  SplitMix64 rng(3);
  for (int round = 0; round < 1500; ++round) {
    const auto draw = [&](double low, double high) {
      return static_cast<float>(low + (high - low) * rng.next_double());
    };
    SamplingOptions o = neutral();
    o.temperature = draw(0.2, 2);
    if (rng.next() % 2) o.top_k = static_cast<int32_t>(rng.next() % 40);
    if (rng.next() % 2) o.top_p = draw(0.05, 0.999);
    if (rng.next() % 2) o.min_p = draw(0.001, 0.5);
    if (rng.next() % 3 == 0) o.typical_p = draw(0.05, 0.99);
    const size_t n = 1 + rng.next() % 2000;
    std::vector<float> z = random_logits(n, rng.next(), draw(0.5, 12));
    if (rng.next() % 3 == 0) {
      for (size_t i = 1; i < n; i += 2) z[i] = kForbidden;
    }
    Sampler s = make_sampler(o, n);
    expect_same(distribution_of(s, z), reference(o, z), "round " + std::to_string(round));
    if (HasFatalFailure()) return;
  }
}

TEST(Sampler, EachStageAlone) {
  const std::vector<float> z = {1, 3, 2, 0, 2};
  SamplingOptions o = neutral();
  o.top_k = 3;
  Sampler k = make_sampler(o, 5);
  EXPECT_THAT(*k.distribution(z),
              testing::ElementsAre(testing::Field(&Candidate::id, 1), testing::Field(&Candidate::id, 2),
                                   testing::Field(&Candidate::id, 4)));
  o = neutral();
  o.top_p = 0;
  Sampler none = make_sampler(o, 5);
  EXPECT_EQ(distribution_of(none, z).size(), 1u);
  o.top_p = 1;
  Sampler every = make_sampler(o, 5);
  EXPECT_EQ(distribution_of(every, z).size(), 5u);
  o.top_k = 1000;
  Sampler beyond = make_sampler(o, 5);
  EXPECT_EQ(distribution_of(beyond, z).size(), 5u);
  o = neutral();
  o.min_p = 1;
  Sampler only_best = make_sampler(o, 5);
  EXPECT_EQ(distribution_of(only_best, z).size(), 1u);
}

TEST(Sampler, GreedyTakesTheLowerIdOfATie) {
  SamplingOptions o;
  o.temperature = 0;
  for (size_t n : {1u, 3u, 63u, 64u, 65u, 1000u}) {
    for (size_t at = 0; at < n; at += 1 + n / 17) {
      std::vector<float> z(n, -1);
      z[at] = 2;
      z[n - 1] = 2;
      Sampler s = make_sampler(o, n);
      EXPECT_EQ(s.sample(z, 0)->id, static_cast<int32_t>(at)) << n;
    }
  }
}

TEST(Sampler, TiesAtTheEdgeOfTopKGoToLowerIds) {
  SamplingOptions o = neutral();
  o.top_k = 70;
  const std::vector<float> z(5000, 1.0f);
  Sampler s = make_sampler(o, z.size());
  const auto d = s.distribution(z);
  ASSERT_TRUE(d.has_value());
  ASSERT_EQ(d->size(), 70u);
  for (size_t i = 0; i < 70; ++i) EXPECT_EQ((*d)[i].id, static_cast<int32_t>(i));
}

TEST(Sampler, DrawsFollowTheDistribution) {
  SamplingOptions o = neutral();
  o.temperature = 0.7f;
  o.top_k = 12;
  o.top_p = 0.97f;
  o.seed = 12345;
  const std::vector<float> z = random_logits(300, 5, 3);
  Sampler s = make_sampler(o, z.size());
  const auto want = distribution_of(s, z);
  std::map<int32_t, int> seen;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) ++seen[s.sample(z, static_cast<uint64_t>(i))->id];
  double chi2 = 0;
  for (const auto& [id, p] : want) {
    const double expected = p * kDraws;
    chi2 += (seen[id] - expected) * (seen[id] - expected) / expected;
  }
  EXPECT_EQ(seen.size(), want.size());  // nothing outside the distribution was drawn
  // 99.9 % quantile for up to 11 degrees of freedom: 31.3 (Abramowitz, Stegun, table 26.8).
  ASSERT_LE(want.size(), 12u);
  ASSERT_GE(want.size(), 5u);
  EXPECT_LT(chi2, 31.3);
}

TEST(Sampler, UniformNumbersAreUniformInEachArgument) {
  const auto chi2 = [](auto number) {
    std::vector<int> bins(64);
    for (uint64_t i = 0; i < 64000; ++i) ++bins[static_cast<size_t>(number(i) * 64)];
    double sum = 0;
    for (int n : bins) sum += (n - 1000.0) * (n - 1000.0) / 1000;
    return sum;
  };
  // 99.9 % quantile for 63 degrees of freedom: 103.4.
  EXPECT_LT(chi2([](uint64_t i) { return sampling_uniform(1, 0, i); }), 103.4);
  EXPECT_LT(chi2([](uint64_t i) { return sampling_uniform(i, 0, 7); }), 103.4);
  EXPECT_LT(chi2([](uint64_t i) { return sampling_uniform(1, static_cast<uint32_t>(i), 7); }), 103.4);
}

TEST(Sampler, TheSameSeedGivesTheSameText) {
  SamplingOptions o;
  o.temperature = 1.2f;
  o.top_k = 0;
  o.min_p = 0;
  o.seed = 99;
  const auto text = [&](uint64_t seed, uint32_t index) {
    o.seed = seed;
    Sampler s = make_sampler(o, 500, index);
    std::vector<int32_t> ids;
    for (uint64_t i = 0; i < 40; ++i) ids.push_back(s.sample(random_logits(500, i), i)->id);
    return ids;
  };
  EXPECT_EQ(text(99, 0), text(99, 0));
  EXPECT_NE(text(99, 0), text(98, 0));
  EXPECT_NE(text(99, 0), text(99, 1));
  // Calls between, in another order, change nothing: positions decide.
  Sampler s = make_sampler(o, 500);
  const int32_t once = s.sample(random_logits(500, 8), 8)->id;
  s.sample(random_logits(500, 3), 3).value();
  EXPECT_EQ(s.sample(random_logits(500, 8), 8)->id, once);
}

// On every machine, whatever its libm: these ids were taken on x86-64 and checked on aarch64.
TEST(Sampler, TheTextOfASeedIsPinned) {
  SamplingOptions o;
  o.temperature = 1.5f;
  o.top_k = 100;
  o.typical_p = 0.98f;
  o.repeat_penalty = 1.1f;
  o.dry_multiplier = 0.5f;
  o.seed = 2024;
  Sampler s = make_sampler(o, 1000);
  std::vector<int32_t> ids;
  uint64_t bits = 0;
  for (uint64_t i = 0; i < 200; ++i) {
    const auto token = s.sample(random_logits(1000, i), i);
    ASSERT_TRUE(token.has_value());
    s.accept(token->id);
    if (i < 8) ids.push_back(token->id);
    bits = bits * 31 + std::bit_cast<uint64_t>(token->probability) + static_cast<uint64_t>(token->id);
  }
  EXPECT_THAT(ids, testing::ElementsAre(115, 53, 897, 757, 863, 32, 885, 899));
  EXPECT_EQ(bits, 11101275523449730490u);
}

TEST(Sampler, PenaltiesEqualARecountOfTheWindow) {
  SamplingOptions o = neutral();
  o.repeat_penalty = 1.3f;
  o.presence_penalty = 0.4f;
  o.frequency_penalty = 0.25f;
  o.repeat_last_n = 17;
  Sampler s = make_sampler(o, 50);
  SplitMix64 rng(4);
  std::vector<int32_t> text;
  const std::vector<float> z = random_logits(50, 6);
  for (int step = 0; step < 400; ++step) {
    if (rng.next() % 4 == 0 && text.size() > 5) {
      const size_t n = rng.next() % 5;
      s.rewind(n);
      text.resize(text.size() - n);
    } else {
      text.push_back(static_cast<int32_t>(rng.next() % 50));
      s.accept(text.back());
    }
    std::vector<float> want = z;
    for (int32_t id = 0; id < 50; ++id) {
      const size_t from = text.size() > 17 ? text.size() - 17 : 0;
      const auto count = std::count(text.begin() + static_cast<ptrdiff_t>(from), text.end(), id);
      float& x = want[static_cast<size_t>(id)];
      if (count == 0) continue;
      x = x <= 0 ? x * 1.3f : x / 1.3f;
      x -= static_cast<float>(count) * 0.25f + 0.4f;
    }
    expect_same(distribution_of(s, z), reference(neutral(), want), "step " + std::to_string(step));
    if (HasFatalFailure()) return;
  }
}

TEST(Sampler, DryEqualsANaiveSearch) {
  SamplingOptions o = neutral();
  o.dry_multiplier = 0.8f;
  SplitMix64 rng(8);
  const std::vector<float> z = random_logits(6, 6);
  for (int round = 0; round < 500; ++round) {
    o.dry_allowed_length = static_cast<int32_t>(1 + rng.next() % 4);
    o.dry_penalty_last_n = rng.next() % 2 ? -1 : 20;
    const std::vector<DryBreaker> breakers = {{5, {}}, {4, {3}}};
    auto s = Sampler::make(o, {.n_vocab = 6, .n_ctx = 64, .sample_index = 0, .dry_breakers = breakers});
    std::vector<int32_t> text(1 + rng.next() % 60);
    for (int32_t& id : text) {
      id = static_cast<int32_t>(rng.next() % 3);
      if (rng.next() % 25 == 0) id = static_cast<int32_t>(3 + rng.next() % 3);
    }
    s->accept(text);
    if (o.dry_penalty_last_n == 20 && text.size() > 20) text.erase(text.begin(), text.end() - 20);
    // The text after the last breaker: token 5, or 4 then 3.
    const size_t n = text.size();
    size_t limit = n;
    for (size_t i = n; i-- > 0 && limit == n;) {
      if (text[i] == 4 && i + 1 < n && text[i + 1] == 3) limit = n - i - 2;
      if (text[i] == 5) limit = n - i - 1;
    }
    std::vector<float> want = z;
    for (int32_t id = 0; id < 6; ++id) {
      size_t longest = 0;
      for (size_t at = 1; at < n; ++at) {  // an earlier `id`, with `length` tokens before it equal to the text's end
        if (text[at] != id) continue;
        size_t length = 0;
        while (length < at && text[at - 1 - length] == text[n - 1 - length]) ++length;
        longest = std::max(longest, std::min(length, limit));
      }
      if (longest < static_cast<size_t>(o.dry_allowed_length)) continue;
      want[static_cast<size_t>(id)] -=
          0.8f * static_cast<float>(std::pow(1.75, static_cast<double>(longest) - o.dry_allowed_length));
    }
    const auto got = distribution_of(*s, z);
    const auto expected = reference(neutral(), want);
    for (const auto& [id, p] : expected) ASSERT_NEAR(got.at(id), p, 1e-6) << "round " << round << " token " << id;
  }
}

TEST(Sampler, DryBreakersCoverTokensThatOverlap) {
  const std::vector<std::string> pieces = {"a", "b\n", "\n", "x\nUs", "User", "er:", ":"};
  const std::vector<std::string> strings = {"\n", "\nUser:"};
  const DryVocabulary vocabulary{
      .n_vocab = pieces.size(),
      .piece = [&](int32_t id) { return std::string_view(pieces[static_cast<size_t>(id)]); },
      .tokenize =
          [](std::string_view text) {
            if (text == "er:") return std::vector<int32_t>{5};
            if (text == "User:") return std::vector<int32_t>{4, 6};
            ADD_FAILURE() << "tokenized " << text;
            return std::vector<int32_t>{};
          },
  };
  std::vector<std::pair<int32_t, std::vector<int32_t>>> got;
  for (const DryBreaker& b : make_dry_breakers(strings, vocabulary)) got.emplace_back(b.head, b.tail);
  const std::vector<std::pair<int32_t, std::vector<int32_t>>> want = {{1, {}},     {1, {4, 6}}, {2, {}},
                                                                      {2, {4, 6}}, {3, {}},     {3, {5}}};
  EXPECT_EQ(got, want);
}

TEST(Sampler, DryPowerIsBounded) {
  const double p = dry_penalty({.multiplier = 1, .base = 1.75f, .allowed_length = 2}, 1000000);
  EXPECT_LT(p, 3.5e38);
  EXPECT_GT(p, 1e37);
}

TEST(Sampler, BiasAndMask) {
  SamplingOptions o = neutral();
  o.temperature = 0;
  o.logit_bias = {{3, 10.0f}, {4, kForbidden}};
  const std::vector<float> z = {5, 1, 2, 0, 9};
  Sampler s = make_sampler(o, 5);
  EXPECT_EQ(s.sample(z, 0)->id, 3);
  const uint32_t words[] = {0b10110};
  EXPECT_EQ(s.sample(z, 0, {words})->id, 2);
  const uint32_t none[] = {0xffffffe0u};
  const auto refused = s.sample(z, 0, {none});
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("no token is allowed"));
  std::vector<float> wide(40, 1.0f);
  Sampler t = make_sampler(o, 40);
  EXPECT_FALSE(t.sample(wide, 0, {words}).has_value());
}

TEST(Sampler, OneAllowedTokenIsTakenByEveryStage) {
  std::vector<float> z(200, kForbidden);
  z[137] = -1e30f;
  SamplingOptions all;
  all.typical_p = 0.5f;
  for (const SamplingOptions& o : {SamplingOptions(), neutral(), all}) {
    Sampler s = make_sampler(o, z.size());
    const auto token = s.sample(z, 1);
    ASSERT_TRUE(token.has_value());
    EXPECT_EQ(token->id, 137);
    EXPECT_EQ(token->probability, 1.0);
  }
}

TEST(Sampler, BrokenLogitsAreAnErrorNotAToken) {
  for (float broken : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (size_t at : {0u, 70u, 129u}) {
      for (float temperature : {0.0f, 1.0f}) {
        std::vector<float> z = random_logits(130, 1);
        z[at] = broken;
        SamplingOptions o;
        o.temperature = temperature;
        Sampler s = make_sampler(o, z.size());
        const auto token = s.sample(z, 0);
        ASSERT_FALSE(token.has_value());
        EXPECT_EQ(token.error().code, ErrorCode::kCorrupt);
        EXPECT_THAT(token.error().message, HasSubstr("token " + std::to_string(at)));
      }
    }
  }
  Sampler s = make_sampler({}, 10);
  EXPECT_FALSE(s.sample(std::vector<float>(9), 0).has_value());
  EXPECT_FALSE(s.sample({}, 0).has_value());
}

TEST(Sampler, LogprobsAreThoseOfTheModel) {
  SamplingOptions o;
  o.logprobs = 4;
  o.temperature = 0.3f;
  o.logit_bias = {{7, 100.0f}};
  const std::vector<float> z = random_logits(1000, 21);
  Sampler s = make_sampler(o, z.size());
  const auto token = s.sample(z, 0);
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(token->id, 7);  // chosen by the bias, reported without
  const auto want = reference(neutral(), z);
  EXPECT_NEAR(token->logprob, std::log(want.at(7)), 1e-12);
  ASSERT_EQ(token->top.size(), 4u);
  std::vector<std::pair<double, int32_t>> order;
  for (const auto& [id, p] : want) order.emplace_back(-p, id);
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(token->top[i].id, order[i].second);
    EXPECT_NEAR(token->top[i].logprob, std::log(-order[i].first), 1e-12);
  }
  const auto free_standing = log_probs(z, 4, 7);
  ASSERT_TRUE(free_standing.has_value());
  EXPECT_EQ(free_standing->chosen, token->logprob);
  EXPECT_EQ(free_standing->top.size(), 4u);
  EXPECT_FALSE(log_probs(z, 4, 1000).has_value());
  EXPECT_FALSE(log_probs(z, 4, -1).has_value());
}

// Vocabularies beyond the small ones above: the windows and buckets of narrow_all, ties and flat logits among them.
TEST(Sampler, EqualsTheReferenceOnLargeVocabularies) {
  SplitMix64 rng(12);
  for (int round = 0; round < 24; ++round) {
    SamplingOptions o = neutral();
    const float wanted[] = {0.3f, 0.9f, 0.999f};
    (round % 2 ? o.typical_p : o.top_p) = wanted[rng.next() % 3];
    if (round % 3 == 0) o.min_p = 0.01f;
    const float scales[] = {0.001f, 0.5f, 8};
    std::vector<float> z = random_logits(20001, rng.next(), scales[rng.next() % 3]);
    if (round % 4 == 0) {
      for (float& x : z) x = std::round(x * 4) / 4;  // some tens of values, each of many tokens
    }
    Sampler s = make_sampler(o, z.size());
    expect_same(distribution_of(s, z), reference(o, z), "round " + std::to_string(round));
    if (HasFatalFailure()) return;
  }
}

TEST(Sampler, TheOrderOfTheDistributionIsAsDocumented) {
  SamplingOptions o = neutral();
  const auto ordered = [&](float top_p, auto before) {
    o.top_p = top_p;
    Sampler s = make_sampler(o, 20000);
    const auto d = s.distribution(random_logits(20000, 5, 0.5f));
    return std::is_sorted(d->begin(), d->end(), before);
  };
  EXPECT_TRUE(ordered(0.1f, likelier));
  EXPECT_TRUE(ordered(0.9f, [](const Candidate& a, const Candidate& b) { return a.id < b.id; }));
}

// A vocabulary that nothing narrows is drawn from without a list of candidates: the same token as from the list.
TEST(Sampler, ADrawFromAllIsTheDistributionsOwn) {
  SamplingOptions o = neutral();
  o.temperature = 1.3f;
  for (size_t n : {1u, 63u, 64u, 65u, 1000u}) {
    std::vector<float> z = random_logits(n, n);
    for (size_t i = 1; i < n; i += 3) z[i] = kForbidden;
    Sampler s = make_sampler(o, n);
    const std::map<int32_t, double> want = distribution_of(s, z);
    for (uint64_t position = 0; position < 200; ++position) {
      const auto token = s.sample(z, position);
      double below = 0;
      for (const auto& [id, p] : want) below += id < token->id ? p : 0.0;
      const double u = sampling_uniform(o.seed, 0, position);
      ASSERT_NEAR(token->probability, want.at(token->id), 1e-14);
      ASSERT_LE(below, u + 1e-12);
      ASSERT_GE(below + token->probability, u - 1e-12);
    }
  }
}

TEST(LogitScan, TheSumLiesWithinItsBounds) {
  for (uint64_t round = 0; round < 60; ++round) {
    const float scales[] = {0.01f, 1, 10, 60, 1e6f};
    std::vector<float> z = random_logits(1 + 331 * round, round, scales[round % 5]);
    if (round % 7 == 0) z.front() = kForbidden;
    if (round % 4 == 0) z.back() += 1000;
    LogitScan scan;
    if (!scan.scan(z)) continue;
    std::vector<Candidate> head;
    for (float below : {1.0f, 0.0f, -3.5f, -8.0f}) {
      const auto [low, high] = scan.exp_sum_bounds(below);
      scan.from(below, head);
      double rest = scan.exp_sum();
      for (const Candidate& c : head) rest -= std::exp(static_cast<double>(c.logit) - static_cast<double>(scan.max()));
      EXPECT_LT(low, rest) << round << " below " << below;
      EXPECT_GT(high, rest) << round << " below " << below;
      EXPECT_LT(high - low, 2e-5 * high + 1e-7) << round;
      // Not by luck: the middle is as near as half of what is allowed.
      EXPECT_NEAR((low + high) / 2, rest, 4e-6 * rest + 1e-8) << round << " below " << below;
    }
  }
}

TEST(LogitScan, MomentsAreThoseOfTheTerms) {
  const std::vector<float> z = {1, 3, kForbidden, -1};
  LogitScan scan;
  ASSERT_TRUE(scan.scan(z).has_value());
  EXPECT_NEAR(scan.moments().sum, 1 + std::exp(-2.0) + std::exp(-4.0), 1e-15);
  EXPECT_NEAR(scan.moments().weighted, -2 * std::exp(-2.0) - 4 * std::exp(-4.0), 1e-15);
}

TEST(LogitScan, TopEqualsASort) {
  SplitMix64 rng(17);
  LogitScan scan;
  std::vector<Candidate> got;
  for (int round = 0; round < 300; ++round) {
    const size_t n = 1 + rng.next() % 3000;
    std::vector<float> z = random_logits(n, rng.next());
    if (round % 3 == 0) {
      for (float& x : z) x = std::round(x);  // many ties
    }
    if (round % 5 == 0) std::sort(z.begin(), z.end());
    ASSERT_TRUE(scan.scan(z).has_value());
    std::vector<int32_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int32_t x, int32_t y) {
      return std::pair(-z[static_cast<size_t>(x)], x) < std::pair(-z[static_cast<size_t>(y)], y);
    });
    EXPECT_EQ(scan.argmax(), order[0]);
    for (size_t k : {size_t{1}, size_t{2}, size_t{40}, n / 2 + 1, n, n + 5}) {
      scan.top(k, got);
      ASSERT_EQ(got.size(), std::min(k, n));
      for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i].id, order[i]) << "round " << round << " k " << k;
    }
  }
}

TEST(SamplingOptions, DefaultsAreValidAndEveryProblemIsNamed) {
  EXPECT_TRUE(validate(SamplingOptions()).has_value());
  SamplingOptions o;
  o.temperature = -1;
  o.top_p = 1.5f;
  o.min_p = std::nanf("");
  o.logit_bias = {{-3, 1.0f}, {2, std::numeric_limits<float>::infinity()}};
  o.dry_sequence_breakers = {""};
  const auto status = validate(o);
  ASSERT_FALSE(status.has_value());
  for (const char* name :
       {"temperature is -1", "top_p is 1.5", "min_p is nan", "token -3", "token 2", "empty string"}) {
    EXPECT_THAT(status.error().message, HasSubstr(name));
  }
}

TEST(SamplingOptions, BoundsHoldForEveryOption) {
  SamplingOptions defaults;
  visit_sampling_options(defaults, [&]<class T>(const OptionInfo& info, T& field) {
    EXPECT_FALSE(info.help.empty()) << info.name;
    const T kept = field;
    EXPECT_TRUE(static_cast<double>(kept) >= info.min && static_cast<double>(kept) <= info.max) << info.name;
    if (info.min > static_cast<double>(std::numeric_limits<T>::lowest())) {
      field = static_cast<T>(info.min - 1);
      EXPECT_FALSE(validate(defaults).has_value()) << info.name;
    }
    field = kept;
  });
  EXPECT_TRUE(validate(defaults).has_value());
}

TEST(SamplingOptions, ABiasBeyondTheVocabularyIsRefused) {
  SamplingOptions o;
  o.logit_bias = {{10, 1.0f}};
  EXPECT_FALSE(Sampler::make(o, {.n_vocab = 10, .n_ctx = 8, .sample_index = 0, .dry_breakers = {}}).has_value());
}

}  // namespace
}  // namespace quern
