// What this machine can do at most, measured: the figures that every speed stands beside.
//
// Memory is read from a buffer far larger than the caches, by all threads, best of several passes; multiply-adds are
// loops on registers alone (KernelTable::peak_int_macs). Best, not median: a limit is what nothing may exceed, and a
// neighbour's load only lowers it. Any thread may call; a measurement takes about 0.4 s and `threads` threads.
#pragma once

#include <string>

#include "base/result.h"
#include "kernels/kernels.h"
#include "quern/quern.h"

namespace quern {

struct MachineLimits {
  std::string isa;
  unsigned threads = 1;
  double read_bytes_per_s = 0;
  double int_macs_per_s = 0;    // of bytes, by the ISA's dot product
  double float_macs_per_s = 0;  // fused, float32
};

// The kernels of the named ISA; of QUERN_ISA or else the best where the name is empty. kUnsupported names those known.
Result<const KernelTable*> find_kernels(const std::string& isa);

// kResource when there is no memory for the buffer.
Result<MachineLimits> measure_limits(const KernelTable& kernels, unsigned threads);

// Where machine_limits takes its figures from.
enum class LimitsFrom : uint8_t {
  kCache,    // as they are; measured when they are not there
  kGreater,  // measured, and the greater of that and what is kept: a neighbour's load only ever lowers a measurement
  kFresh,    // measured, and what was kept forgotten
  kNow,      // measured; nothing is read or kept: on a shared machine, what this moment allows
};

// By the file limits.json of the cache folder, which keeps them by processor model, ISA and number of threads. A folder
// that cannot be written means a measurement each time.
Result<MachineLimits> machine_limits(const std::string& isa, unsigned threads, LimitsFrom from = LimitsFrom::kCache);

// Tokens per second, of all sequences, that the limits allow. Each of the shape.n_tokens steps of decoding, the first
// at shape.depth, reads all weights and the sequences' keys and values (Engine::forward_bytes against the bandwidth),
// and multiplies as a prompt does: the longer of the two counts, which is the reading until many sequences share it. A
// model not much larger than the last cache may exceed it, since part of its weights stays there.
double decode_limit_tps(const Engine& engine, const MachineLimits& limits, const ForwardShape& shape);
// A prompt is bound by arithmetic: the integer peak by Engine::forward_macs.
double prefill_limit_tps(const Engine& engine, const MachineLimits& limits, const ForwardShape& shape);

}  // namespace quern
