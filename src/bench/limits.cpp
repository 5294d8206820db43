#include "bench/limits.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/checked.h"
#include "base/clock.h"
#include "os/atomic_file.h"
#include "os/cpu_model.h"
#include "os/env.h"
#include "os/file.h"
#include "os/huge_memory.h"
#include "os/memory.h"
#include "os/paths.h"
#include "os/small_file.h"
#include "os/thread_pool.h"
#include "os/topology.h"

namespace quern {

namespace {

constexpr size_t kMinBuffer = size_t{128} << 20, kMaxBuffer = size_t{1} << 30;
constexpr uint64_t kCacheMultiple = 8;  // at 3 a third of the reads still came from the cache
constexpr size_t kReadUnit = size_t{1} << 20;
constexpr double kReadSeconds = 0.1;
constexpr int kMinPasses = 3;
constexpr double kPeakSeconds = 0.004;  // of one pass; long enough for a timer, short enough for a time slice
constexpr int kPeakPasses = 4;

// Far above the last cache, and never so much that it could hurt.
size_t buffer_bytes() {
  uint64_t cache = 0;
  for (const Cache& c : read_topology(allowed_cpus()).caches) cache = std::max(cache, c.bytes);
  size_t bytes = std::clamp<size_t>(cache * kCacheMultiple, kMinBuffer, kMaxBuffer);
  if (const auto free = read_memory().available) bytes = std::min<size_t>(bytes, *free / 4);
  return bytes / kReadUnit * kReadUnit;
}

// Four streams at a time, which keeps more reads under way than one: 21 GB/s instead of 18 on one core of an EPYC 9xx4,
// where wider loads and software prefetch lost (15 GB/s). Sums are independent, so that only the loads count.
uint64_t read_unit(const uint64_t* words) {
  constexpr size_t kStreams = 4, kLength = kReadUnit / sizeof(uint64_t) / kStreams;
  uint64_t sums[8] = {};
  for (size_t i = 0; i < kLength; i += 8) {
    for (size_t stream = 0; stream < kStreams; ++stream) {
      for (size_t lane = 0; lane < 8; ++lane) sums[lane] += words[stream * kLength + i + lane];
    }
  }
  uint64_t sum = 0;
  for (const uint64_t s : sums) sum += s;
  return sum;
}

Result<double> read_bandwidth(ThreadPool& pool) {
  // In huge pages where the system has them, as weights are.
  const size_t bytes = buffer_bytes();
  if (bytes < kReadUnit) return fail(ErrorCode::kResource, "no memory to measure its bandwidth with");
  QUERN_TRY(const HugeMemory buffer, HugeMemory::anonymous(bytes));
  const size_t units = buffer.size() / kReadUnit;
  pool.parallel(units, [&](size_t unit, unsigned) { std::memset(buffer.data() + unit * kReadUnit, 1, kReadUnit); });
  std::atomic<uint64_t> sink{0};  // what is never used is never read
  double best = 0;
  const double end = now_s() + kReadSeconds;
  for (int pass = 0; pass < kMinPasses || now_s() < end; ++pass) {
    const double start = now_s();
    pool.parallel(units, [&](size_t unit, unsigned) {
      sink.fetch_add(read_unit(reinterpret_cast<const uint64_t*>(buffer.data() + unit * kReadUnit)),
                     std::memory_order_relaxed);
    });
    best = std::max(best, static_cast<double>(buffer.size()) / (now_s() - start));
  }
  return best;
}

// All threads at once; a thread's clock may drop when the others work.
double peak_macs(ThreadPool& pool, double (*loop)(size_t)) {
  size_t iterations = 1024;
  for (;;) {
    const double start = now_s();
    loop(iterations);
    if (now_s() - start >= kPeakSeconds) break;
    iterations *= 2;
  }
  std::vector<double> done(pool.size());
  double best = 0;
  for (int pass = 0; pass < kPeakPasses; ++pass) {
    const double start = now_s();
    pool.parallel(pool.size(), [&](size_t unit, unsigned) { done[unit] = loop(iterations); });
    double sum = 0;
    for (const double macs : done) sum += macs;
    best = std::max(best, sum / (now_s() - start));
  }
  return best;
}

// The cache file: an object of "model, isa, threads" -> figures. What cannot be read counts as empty.
nlohmann::json read_cache(const std::string& path) {
  const auto text = read_small_file(path);
  auto json = nlohmann::json::parse(text.value_or("{}"), nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : nlohmann::json::object();
}

bool read_figure(const nlohmann::json& entry, const char* name, double& to) {
  const auto at = entry.find(name);
  if (at == entry.end() || !at->is_number()) return false;
  to = at->get<double>();
  return to > 0;
}

}  // namespace

Result<const KernelTable*> find_kernels(const std::string& isa) {
  const std::string name = isa.empty() ? env_get("QUERN_ISA").value_or("") : isa;
  if (const KernelTable* kernels = select_kernels(name.c_str())) return kernels;
  std::string known;
  for (const IsaInfo& info : isas()) {
    known +=
        fmt::format("{}{}{}", known.empty() ? "" : ", ", info.name, info.supported ? "" : " (not on this processor)");
  }
  return fail_f(ErrorCode::kUnsupported, "instruction set {} cannot run here; this build has {}", name, known);
}

Result<MachineLimits> measure_limits(const KernelTable& kernels, unsigned threads) {
  ThreadPool pool(std::max(1u, threads));
  MachineLimits limits{.isa = kernels.isa, .threads = pool.size()};
  QUERN_TRY(limits.read_bytes_per_s, read_bandwidth(pool));
  limits.int_macs_per_s = peak_macs(pool, kernels.peak_int_macs);
  limits.float_macs_per_s = peak_macs(pool, kernels.peak_float_macs);
  return limits;
}

Result<MachineLimits> machine_limits(const std::string& isa, unsigned threads, LimitsFrom from) {
  QUERN_TRY(const KernelTable* kernels, find_kernels(isa));
  const auto folder = cache_folder();
  if (!folder || from == LimitsFrom::kNow) return measure_limits(*kernels, threads);
  const std::string path = *folder + "/limits.json";
  const std::string key = fmt::format("{}, {}, {} threads", cpu_model(), kernels->isa, threads);
  nlohmann::json cache = read_cache(path);
  std::optional<MachineLimits> kept;
  if (const auto entry = cache.find(key); entry != cache.end() && entry->is_object()) {
    MachineLimits limits{.isa = kernels->isa, .threads = threads};
    if (read_figure(*entry, "read_bytes_per_s", limits.read_bytes_per_s) &&
        read_figure(*entry, "int_macs_per_s", limits.int_macs_per_s) &&
        read_figure(*entry, "float_macs_per_s", limits.float_macs_per_s)) {
      kept = limits;
    }
  }
  if (kept && from == LimitsFrom::kCache) return *kept;
  QUERN_TRY(MachineLimits limits, measure_limits(*kernels, threads));
  if (kept && from == LimitsFrom::kGreater) {
    limits.read_bytes_per_s = std::max(limits.read_bytes_per_s, kept->read_bytes_per_s);
    limits.int_macs_per_s = std::max(limits.int_macs_per_s, kept->int_macs_per_s);
    limits.float_macs_per_s = std::max(limits.float_macs_per_s, kept->float_macs_per_s);
  }
  cache[key] = {{"read_bytes_per_s", limits.read_bytes_per_s},
                {"int_macs_per_s", limits.int_macs_per_s},
                {"float_macs_per_s", limits.float_macs_per_s}};
  if (make_folders(*folder)) {
    // A failure costs the next caller a measurement, no more.
    (void)write_file_atomically(path, cache.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  return limits;
}

double decode_limit_tps(const Engine& engine, const MachineLimits& limits, const ForwardShape& shape) {
  double seconds = 0;
  for (size_t i = 0; i < shape.n_tokens; ++i) {
    const ForwardShape step{.n_tokens = 1, .n_sequences = shape.n_sequences, .depth = shape.depth + i};
    seconds += std::max(static_cast<double>(engine.forward_bytes(step)) / limits.read_bytes_per_s,
                        engine.forward_macs(step) / limits.int_macs_per_s);
  }
  return static_cast<double>(shape.n_tokens * shape.n_sequences) / seconds;
}

double prefill_limit_tps(const Engine& engine, const MachineLimits& limits, const ForwardShape& shape) {
  return static_cast<double>(shape.n_tokens * shape.n_sequences) * limits.int_macs_per_s / engine.forward_macs(shape);
}

}  // namespace quern
