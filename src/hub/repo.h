// A repository of the Hugging Face hub: its names, its listing, and the choice of a model in it. Pure functions over
// text that a server sent; any thread.
//
// Listing: GET /api/models/OWNER/REPO/tree/main?recursive=true answers an array of {type, path, size, lfs: {oid}},
// where lfs.oid is the SHA-256 of the contents.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern::hub {

// "hf:OWNER/REPO[:FILE]"
struct RepoSource {
  std::string repo;  // "OWNER/REPO"
  std::string file;  // a path, a file name, or a part of a name such as "q8_0"; empty: choose
};
Result<RepoSource> parse_repo_source(std::string_view text);

struct RepoFile {
  std::string path;  // safe to append to a folder, see is_safe_path
  uint64_t bytes = 0;
  std::string sha256;  // empty for files that git itself keeps
};

// The files of one page of a listing. Entries of other kinds, or with a path that is not safe, are left out.
Result<std::vector<RepoFile>> parse_listing(std::string_view json);

// A model of a repository: one GGUF file, or all parts of a split one in order.
struct RepoModel {
  std::string path;  // of the first part
  std::vector<RepoFile> parts;

  [[nodiscard]] uint64_t bytes() const;
};

// The models among the files; projector and importance files are none, and neither is a split one that lacks parts.
std::vector<RepoModel> models_in(std::span<const RepoFile> files);

// The model that `wanted` names: exact path, file name, then a part of the name between separators, such as a
// quantization. Empty: the only one, or by the catalogue's preferred tags. kInvalidArgument lists what there is.
Result<RepoModel> choose_model(std::span<const RepoModel> models, std::string_view wanted, std::string_view repo);

// "name-00002-of-00005.gguf"
struct SplitName {
  std::string stem;    // "name"
  uint32_t index = 0;  // from 1
  uint32_t count = 0;
};
std::optional<SplitName> parse_split_name(std::string_view file);
std::string split_name(std::string_view stem, uint32_t index, uint32_t count);

// A relative path of plain components: no "..", no empty one, no control character or backslash, at most 512 bytes.
bool is_safe_path(std::string_view path);

}  // namespace quern::hub
