#include "os/small_file.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>

#include "base/checked.h"

namespace quern {

namespace {

struct CloseFile {
  void operator()(std::FILE* f) const { std::fclose(f); }
};

}  // namespace

std::optional<std::string> read_small_file(const std::string& path) {
  std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rbe"));
  if (!file) return std::nullopt;
  // The size that the system reports for such files is 0 or a page: read until the end.
  std::string text;
  char buffer[4096];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, file.get())) {
    text.append(buffer, n);
    if (text.size() > kSmallFileBytes) return std::nullopt;
  }
  if (std::ferror(file.get())) return std::nullopt;
  return text;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string_view take_until(std::string_view& text, char separator) {
  const size_t at = text.find(separator);
  const std::string_view head = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view{} : text.substr(at + 1);
  return head;
}

std::optional<uint64_t> parse_u64(std::string_view text) {
  text = trim(text);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint64_t> read_u64_file(const std::string& path) {
  const auto text = read_small_file(path);
  return text ? parse_u64(*text) : std::nullopt;
}

std::optional<std::vector<unsigned>> parse_cpu_list(std::string_view text) {
  text = trim(text);
  std::vector<bool> set;
  while (!text.empty()) {
    const std::string_view range = take_until(text, ',');
    const size_t dash = range.find('-');
    const auto first = parse_u64(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_u64(range.substr(dash + 1));
    if (!first || !last || *last < *first || *last > kMaxCpuId) return std::nullopt;
    if (set.size() <= *last) set.resize(*last + 1);
    std::fill(set.begin() + static_cast<ptrdiff_t>(*first), set.begin() + static_cast<ptrdiff_t>(*last + 1), true);
  }
  std::vector<unsigned> ids;
  for (size_t id = 0; id < set.size(); ++id) {
    if (set[id]) ids.push_back(static_cast<unsigned>(id));
  }
  return ids;
}

std::optional<uint64_t> parse_size(std::string_view text) {
  text = trim(text);
  if (text.empty()) return std::nullopt;
  uint64_t unit = 1;
  if (text.back() == 'K') unit = uint64_t{1} << 10;
  if (text.back() == 'M') unit = uint64_t{1} << 20;
  if (text.back() == 'G') unit = uint64_t{1} << 30;
  if (unit != 1) text.remove_suffix(1);
  const auto number = parse_u64(text);
  return number ? checked_mul(*number, unit) : std::nullopt;
}

std::optional<uint64_t> find_figure(std::string_view lines, std::string_view key) {
  while (!lines.empty()) {
    std::string_view line = take_until(lines, '\n');
    if (!line.starts_with(key)) continue;
    line.remove_prefix(key.size());
    if (line.empty() || (line[0] != ':' && line[0] != ' ' && line[0] != '\t')) continue;
    line = trim(line.substr(1));
    const bool kilobytes = line.ends_with(" kB");
    if (kilobytes) line.remove_suffix(3);
    const auto number = parse_u64(line);
    return number ? checked_mul(*number, kilobytes ? 1024 : 1) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace quern
