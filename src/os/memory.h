// Memory of the machine and of this process, as far as the control group lets it be used.
//
// Any thread may call; each call reads anew (some file reads, not for a decode loop). What cannot be known is nullopt,
// never a guess.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "os/cgroup.h"

namespace quern {

struct MemoryFigures {
  std::optional<uint64_t> total;          // the machine's, or the control group's limit where that is less
  std::optional<uint64_t> available;      // what may still be taken without swapping or being killed
  std::optional<uint64_t> resident;       // of this process now, mapped files included
  std::optional<uint64_t> peak_resident;  // its largest so far
  bool limited_by_cgroup = false;         // `total` is the control group's
};

// `root` stands before /proc, so that a test can give a folder with a made-up machine.
MemoryFigures read_memory(const std::string& root = "");

}  // namespace quern
