// Reading the small text files by which Linux describes a machine (/proc, /sys).
//
// Any thread may call. Nothing here fails loudly: a machine, a container or another system lacks some of these files,
// and an absent or senseless one is "not known", nullopt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quern {

inline constexpr size_t kSmallFileBytes = size_t{1} << 20;
inline constexpr unsigned kMaxCpuId = 65535;

// The whole file; nullopt when it cannot be read or is longer than kSmallFileBytes.
std::optional<std::string> read_small_file(const std::string& path);

// A decimal number that fills `text` but for white space around it.
std::optional<uint64_t> parse_u64(std::string_view text);
std::optional<uint64_t> read_u64_file(const std::string& path);

// The kernel's list form, "0-3,8,10-11": ascending, without repeats. An empty list is well-formed; nullopt when it is
// not one, or names an id above kMaxCpuId.
std::optional<std::vector<unsigned>> parse_cpu_list(std::string_view text);

// "32K", "16M" as in /sys/.../cache/size: bytes.
std::optional<uint64_t> parse_size(std::string_view text);

// The number after `key` in lines of the form "key value" or "key:  value kB" (then in bytes).
std::optional<uint64_t> find_figure(std::string_view lines, std::string_view key);

std::string_view trim(std::string_view text);

// Removes and returns the text up to `separator`, which goes too; the rest when there is none.
std::string_view take_until(std::string_view& text, char separator);

}  // namespace quern
