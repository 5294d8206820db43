#include "hub/repo.h"

#include <gtest/gtest.h>

namespace quern::hub {
namespace {

RepoFile file(const std::string& path, uint64_t bytes = 1) {
  return {.path = path, .bytes = bytes, .sha256 = {}};
}

std::string chosen(const std::vector<std::string>& paths, std::string_view wanted) {
  std::vector<RepoFile> files;
  for (const std::string& path : paths) files.push_back(file(path));
  const auto model = choose_model(models_in(files), wanted, "o/r");
  return model ? model->path : "error: " + model.error().message;
}

TEST(RepoSource, ReadsOwnerRepoAndFile) {
  const auto whole = parse_repo_source("hf:o-1/r.2_x:folder/m.gguf");
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(whole->repo, "o-1/r.2_x");
  EXPECT_EQ(whole->file, "folder/m.gguf");
  for (const char* wrong : {"", "o/r", "hf:", "hf:o", "hf:o/", "hf:/r", "hf:o/r/s", "hf:../r", "hf:o/..",
                            "hf:o/r:", "hf:o/r:/etc/m", "hf:o/r:a/../b", "hf:o/r?x", "hf:o /r"}) {
    EXPECT_FALSE(parse_repo_source(wrong).has_value()) << wrong;
  }
  EXPECT_FALSE(parse_repo_source("hf:o/" + std::string(97, 'r')).has_value());
}

TEST(SafePath, StaysInItsFolder) {
  for (const char* safe : {"a", "a/b.gguf", "..a", "a..b/c", "a b"}) EXPECT_TRUE(is_safe_path(safe)) << safe;
  for (const char* unsafe : {"", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/./b", "a\\b", "a\nb", "a\x7f"}) {
    EXPECT_FALSE(is_safe_path(unsafe)) << unsafe;
  }
  EXPECT_FALSE(is_safe_path(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_safe_path(std::string(513, 'a')));
}

TEST(Listing, KeepsFilesAndTheirHashes) {
  const std::string sha(64, 'A');
  const auto files = parse_listing(R"([{"type":"file","path":"a.gguf","size":130,"lfs":{"oid":")" + sha +
                                   R"(","size":7}},{"type":"file","path":"b.txt","size":3},
      {"type":"directory","path":"c","size":0},{"type":"file","path":"../d","size":1},{"type":"file","path":"e","size":-1},
      {"type":"file","path":5,"size":1},{"type":"file","path":"f","size":1,"lfs":{"oid":"short"}},null,[],7])");
  ASSERT_TRUE(files.has_value());
  ASSERT_EQ(files->size(), 3u);
  EXPECT_EQ((*files)[0].bytes, 7u);
  EXPECT_EQ((*files)[0].sha256, std::string(64, 'a'));
  EXPECT_EQ((*files)[1].path, "b.txt");
  EXPECT_EQ((*files)[2].sha256, "");
  for (const char* wrong : {"", "{}", "null", "[", "[{}", "\xff"})
    EXPECT_FALSE(parse_listing(wrong).has_value()) << wrong;
}

TEST(SplitName, NeedsItsExactShape) {
  const auto name = parse_split_name("dir/m-00002-of-00010.gguf");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->stem, "dir/m");
  EXPECT_EQ(name->index, 2u);
  EXPECT_EQ(name->count, 10u);
  EXPECT_EQ(split_name(name->stem, 2, 10), "dir/m-00002-of-00010.gguf");
  for (const char* wrong : {"-00001-of-00002.gguf", "m-00000-of-00002.gguf", "m-00003-of-00002.gguf", "m-1-of-2.gguf",
                            "m-00001-of-99999.gguf", "m-0000a-of-00002.gguf", "m-00001-of-00002.bin"}) {
    EXPECT_FALSE(parse_split_name(wrong).has_value()) << wrong;
  }
}

TEST(ChooseModel, TakesTheUsualOneOrAsks) {
  EXPECT_EQ(chosen({"a.gguf", "readme.md"}, ""), "a.gguf");
  EXPECT_EQ(chosen({"a-Q8_0.gguf", "a-Q4_K_M.gguf", "a-Q4_0.gguf"}, ""), "a-Q4_K_M.gguf");
  EXPECT_EQ(chosen({"a-Q8_0.gguf", "a.q4_0.gguf", "a-Q4_0_4_8.gguf"}, ""), "a.q4_0.gguf");
  EXPECT_EQ(chosen({"a-UD-Q4_K_XL.gguf", "a-Q8_0.gguf", "mmproj-Q4_K_M.gguf"}, ""), "a-Q8_0.gguf");
  EXPECT_NE(chosen({"a-Q4_K_M.gguf", "b-Q4_K_M.gguf", "c-Q8_0.gguf"}, "").find("several models"), std::string::npos);
  EXPECT_NE(chosen({"mmproj.gguf", "x.bin"}, "").find("no GGUF file"), std::string::npos);
}

TEST(ChooseModel, FindsWhatIsNamed) {
  const std::vector<std::string> paths = {"q8/m.gguf", "m-q8_0.gguf", "m-q4_0.gguf", "q8_0.gguf"};
  EXPECT_EQ(chosen(paths, "m-q4_0.gguf"), "m-q4_0.gguf");
  EXPECT_EQ(chosen(paths, "m.gguf"), "q8/m.gguf");
  EXPECT_EQ(chosen(paths, "Q4_0"), "m-q4_0.gguf");
  EXPECT_NE(chosen(paths, "q8_0").find("names no single file"), std::string::npos);
  EXPECT_NE(chosen(paths, "q8_").find("names no single file"), std::string::npos);
}

TEST(ModelsIn, JoinsPartsAndLeavesOutTornOnes) {
  const std::vector<RepoFile> files = {file("b-00002-of-00002.gguf", 5), file("a-00001-of-00003.gguf"),
                                       file("a-00003-of-00003.gguf"), file("b-00001-of-00002.gguf", 7)};
  const auto models = models_in(files);
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].path, "b-00001-of-00002.gguf");
  ASSERT_EQ(models[0].parts.size(), 2u);
  EXPECT_EQ(models[0].parts[1].path, "b-00002-of-00002.gguf");
  EXPECT_EQ(models[0].bytes(), 12u);
}

TEST(RepoModel, SumOfHostileSizesDoesNotWrap) {
  const RepoModel model{"a", {file("a", UINT64_MAX), file("b", 2)}};
  EXPECT_EQ(model.bytes(), UINT64_MAX);
}

}  // namespace
}  // namespace quern::hub
