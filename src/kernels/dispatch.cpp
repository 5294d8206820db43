// The one place that knows every ISA. Compiled for the baseline processor: it decides before any sealed code runs.
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/ref/ref.h"

#if defined(__x86_64__)
#include "kernels/avx2/avx2.h"
#include "kernels/avx512/avx512.h"
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

#include "kernels/neon/neon.h"
#endif

namespace quern {

namespace {

struct Row {
  const char* name;
  bool (*supported)();
  void (*fill)(KernelTable&);
};

#if defined(__x86_64__)
// __builtin_cpu_supports asks CPUID and whether the system saves the wide registers (XCR0).
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
bool has_avx512bw() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
bool has_avx512() {
  return has_avx512bw() && __builtin_cpu_supports("avx512vnni");
}
// Lowest first: each level starts from the one below.
constexpr std::array<Row, 3> kRows = {{{"avx2", has_avx2, avx2::fill},
                                       {"avx512bw", has_avx512bw, avx512::fill_bw},
                                       {"avx512", has_avx512, avx512::fill}}};
#elif defined(__aarch64__)
bool has_neon() {
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}
bool has_neon_i8mm() {
  return has_neon() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
}
constexpr std::array<Row, 2> kRows = {{{"neon", has_neon, neon::fill}, {"neon_i8mm", has_neon_i8mm, neon::fill_i8mm}}};
#else
constexpr std::array<Row, 0> kRows = {};
#endif

struct Registry {
  std::array<KernelTable, kRows.size() + 1> tables;
  std::vector<IsaInfo> infos;

  Registry() {
    tables[0] = ref::table();
    infos.push_back({"ref", true, &tables[0]});
    for (size_t i = 0; i < kRows.size(); ++i) {
      KernelTable& t = tables[i + 1];
      t = tables[i];
      t.isa = kRows[i].name;
      const bool supported = kRows[i].supported();
      if (supported) kRows[i].fill(t);
      infos.insert(infos.begin(), {kRows[i].name, supported, &t});
    }
  }
};

}  // namespace

std::span<const IsaInfo> isas() {
  static const Registry kRegistry;
  return kRegistry.infos;
}

const KernelTable* select_kernels(const char* name) {
  const std::string_view wanted = name == nullptr ? "" : name;
  for (const IsaInfo& isa : isas()) {
    if (isa.supported && (wanted.empty() || wanted == isa.name)) return isa.table;
  }
  return nullptr;
}

}  // namespace quern
