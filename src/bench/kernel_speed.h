// How fast each kernel of an instruction set is on one thread, beside the limits of bench/limits.h.
//
// Operands of decoding lie in memory far beyond the caches, those of prompts in the caches, as in a model. Takes some
// seconds and some hundred megabytes; uses the calling thread.
#pragma once

#include <functional>
#include <string>

#include "bench/limits.h"
#include "kernels/kernels.h"

namespace quern {

// What a kernel on such operands is limited by. kCache: its operands lie in a cache, whose speed is not measured.
enum class Bound : uint8_t { kMemory, kInteger, kFloat, kCache };
// "memory", "integer", "float", "cache".
std::string_view bound_name(Bound bound);

struct KernelRow {
  std::string kernel;
  std::string format;  // of the weights; empty for other kernels
  size_t rows = 1;     // tokens, or query rows of attention
  double bytes_per_s = 0;
  double macs_per_s = 0;
  Bound bound = Bound::kMemory;
  // Of the limit that binds; 0 for kCache.
  [[nodiscard]] double share(const MachineLimits& limits) const;
};

// Calls visit with each row as it is measured; false from it ends the benchmark. kResource without memory.
Status bench_kernels(const KernelTable& kernels, const std::function<bool(const KernelRow&)>& visit);

}  // namespace quern
