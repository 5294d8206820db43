// Models in several files: names, and joining their views.
#include <fmt/format.h>

#include <charconv>

#include "gguf/reader.h"

namespace quern {
namespace {

constexpr std::string_view kSuffix = ".gguf";
constexpr size_t kDigits = 5;
constexpr std::string_view kOf = "-of-";

std::optional<uint32_t> number(std::string_view digits) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

struct SplitName {
  std::string_view prefix;
  uint32_t number = 0;
  uint32_t count = 0;
};

// "prefix-NNNNN-of-NNNNN.gguf"
std::optional<SplitName> parse_split_name(std::string_view path) {
  constexpr size_t kTail = 1 + kDigits + kOf.size() + kDigits + kSuffix.size();
  if (path.size() <= kTail || !path.ends_with(kSuffix)) return std::nullopt;
  const auto tail = path.substr(path.size() - kTail);
  if (tail[0] != '-' || tail.substr(1 + kDigits, kOf.size()) != kOf) return std::nullopt;
  const auto no = number(tail.substr(1, kDigits));
  const auto count = number(tail.substr(1 + kDigits + kOf.size(), kDigits));
  if (!no || !count) return std::nullopt;
  return SplitName{path.substr(0, path.size() - kTail), *no, *count};
}

// The number of parts that a view says it belongs to: 1 when it says nothing.
Result<uint64_t> declared_parts(const GgufView& view) {
  QUERN_TRY(const uint64_t count, view.get_u64("split.count", 1));
  // Some tools write 0 into files that are not split.
  return count == 0 ? 1 : count;
}

Status check_part(const GgufView& part, size_t index, size_t n_parts, const GgufView& first) {
  QUERN_TRY(const uint64_t count, declared_parts(part));
  if (count != n_parts)
    return fail_f(count > n_parts ? ErrorCode::kNotFound : ErrorCode::kCorrupt,
                  "{}: split.count is {}, but {} file{} given: all parts of one model must be together",
                  part.file_name(), count, n_parts, n_parts == 1 ? " is" : "s are");
  if (n_parts == 1) return {};
  QUERN_TRY(const uint64_t no, part.get_u64("split.no"));
  if (no != index)
    return fail_f(ErrorCode::kCorrupt,
                  "{}: split.no is {} where {} is expected: the parts are out of order, or one stands for another",
                  part.file_name(), no, index);
  constexpr std::string_view kArchitecture = "general.architecture";
  QUERN_TRY(const auto first_arch, first.get_string(kArchitecture, ""));
  QUERN_TRY(const auto arch, part.get_string(kArchitecture, first_arch));
  if (arch != first_arch)
    return fail_f(ErrorCode::kCorrupt, "{}: {} differs from that of {}: the parts are of different models",
                  part.file_name(), kArchitecture, first.file_name());
  return {};
}

}  // namespace

Result<std::vector<std::string>> split_paths(const std::string& path) {
  const auto name = parse_split_name(path);
  if (!name) return std::vector<std::string>{path};
  if (name->count == 0 || name->count > kGgufMaxSplits || name->number == 0 || name->number > name->count)
    return fail_f(ErrorCode::kInvalidArgument, "{}: part {} of {} makes no sense; 1 to {} parts are allowed", path,
                  name->number, name->count, kGgufMaxSplits);
  std::vector<std::string> paths;
  paths.reserve(name->count);
  for (uint32_t i = 1; i <= name->count; ++i)
    paths.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", name->prefix, i, name->count));
  return paths;
}

Result<GgufView> GgufView::join(std::vector<GgufView> parts) {
  if (parts.empty()) return fail(ErrorCode::kInvalidArgument, "no GGUF file given");
  for (size_t i = 0; i < parts.size(); ++i) QUERN_CHECK_OK(check_part(parts[i], i, parts.size(), parts[0]));

  GgufView all = std::move(parts[0]);
  all.n_parts_ = static_cast<uint32_t>(parts.size());
  size_t n_tensors = all.tensors_.size();
  for (size_t i = 1; i < parts.size(); ++i) n_tensors += parts[i].tensors_.size();
  QUERN_TRY(const uint64_t declared, all.get_u64("split.tensors.count", n_tensors));
  if (declared != n_tensors)
    return fail_f(ErrorCode::kCorrupt, "{}: split.tensors.count is {}, the {} files hold {} tensors", all.file_name_,
                  declared, parts.size(), n_tensors);
  if (n_tensors > kGgufMaxTensors)
    return fail_f(ErrorCode::kCorrupt, "{}: {} tensors in all parts, at most {} are allowed", all.file_name_, n_tensors,
                  kGgufMaxTensors);
  all.tensors_.reserve(n_tensors);
  for (size_t i = 1; i < parts.size(); ++i) {
    all.file_bytes_ += parts[i].file_bytes_;
    for (GgufTensor tensor : parts[i].tensors_) {
      tensor.part = static_cast<uint32_t>(i);
      all.tensors_.push_back(tensor);
    }
  }
  QUERN_CHECK_OK(all.build_index());
  return all;
}

}  // namespace quern
