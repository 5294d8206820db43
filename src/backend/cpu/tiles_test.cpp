#include "backend/cpu/tiles.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace quern {
namespace {

constexpr ProductShape kShape{TensorType::kQ4_0, 224, 18944, 512, 2};

TEST(Tiles, CandidatesAreSensibleAndBeginWithTheDefault) {
  const auto all = tile_candidates(kShape);
  EXPECT_GT(all.size(), 6u);
  EXPECT_EQ(all[0], default_tile(kShape));
  for (const Tile& t : all) {
    EXPECT_EQ(t.groups % 4, 0u);
    EXPECT_EQ(t.tokens % 16, 0u);
    EXPECT_EQ(std::count(all.begin(), all.end(), t), 1);
  }
  EXPECT_EQ(tile_candidates({TensorType::kQ4_0, 4, 64, 512, 2}).size(), 1u);  // small: not worth a trial
  for (const Tile& t : tile_candidates({TensorType::kQ4_0, 224, 18944, 1, 2})) EXPECT_EQ(t.tokens, 0u);
}

// Reports times that make `fast` the best tile until the shape is settled.
Tile settle(Tiles& tiles, const ProductShape& shape, Tile fast) {
  Tiles::Entry& entry = tiles.entry(shape);
  for (int guard = 0; !entry.settled() && guard < 1000; ++guard) {
    tiles.report(entry, entry.next() == fast ? 1.0 : 2.0);
  }
  EXPECT_TRUE(entry.settled());
  return entry.next();
}

TEST(Tiles, SettlesOnTheFastestAndKeepsItByMachine) {
  const std::string path = testing::TempDir() + "quern-tiles.json";
  std::filesystem::remove(path);
  const Tile fast = tile_candidates(kShape).back();
  {
    Tiles tiles(path, "a machine");
    EXPECT_EQ(settle(tiles, kShape, fast), fast);
  }
  Tiles again(path, "a machine"), other(path, "another machine");
  EXPECT_TRUE(again.entry(kShape).settled());
  EXPECT_EQ(again.entry(kShape).next(), fast);
  EXPECT_FALSE(other.entry(kShape).settled());
  ProductShape more = kShape;
  more.n_tokens = 400;  // up to the same power of two
  EXPECT_TRUE(again.entry(more).settled());
  more.n_tokens = 100;
  EXPECT_FALSE(again.entry(more).settled());
}

TEST(Tiles, TheDefaultWinsWhereTheGainIsNoise) {
  Tiles tiles("", "a machine");
  Tiles::Entry& entry = tiles.entry(kShape);
  while (!entry.settled()) tiles.report(entry, entry.next() == default_tile(kShape) ? 1.0 : 0.99);
  EXPECT_EQ(entry.next(), default_tile(kShape));
}

TEST(Tiles, ProcessesAddToOneFile) {
  const std::string path = testing::TempDir() + "quern-tiles-2.json";
  std::filesystem::remove(path);
  ProductShape second = kShape;
  second.cols = 3584;
  {
    Tiles a(path, "m"), b(path, "m");
    settle(a, kShape, default_tile(kShape));
    settle(b, second, default_tile(second));
  }
  Tiles both(path, "m");
  EXPECT_TRUE(both.entry(kShape).settled());
  EXPECT_TRUE(both.entry(second).settled());
}

TEST(Tiles, WhatIsSenselessInTheFileIsLeftOut) {
  const auto read = [](const std::string& value) {
    return parse_tiles(R"({"m": {"good": [8, 32], "k": )" + value + "}}", "m");
  };
  EXPECT_EQ(read("[4, 16]").size(), 2u);
  for (const char* bad : {"[4]", "[4, 16, 1]", "[0, 16]", "[6, 16]", "[4, 7]", "[-4, 16]", "[4.0, 16]", "[1e99, 0]",
                          "[18446744073709551615, 0]", "[4, 18446744073709551600]", "{}", "null", "\"4\""}) {
    EXPECT_EQ(read(bad).size(), 1u) << bad;
  }
  for (const char* text : {"", "{", "[]", "null", R"({"m": 3})", R"({"other": {}})"}) {
    EXPECT_TRUE(parse_tiles(text, "m").empty()) << text;
  }
}

}  // namespace
}  // namespace quern
