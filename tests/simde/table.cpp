// In place of kernels/dispatch.cpp: the kernels that SIMDe computes, on any processor.
#include <string_view>

#include "kernels/avx2/avx2.h"
#include "kernels/avx512/avx512.h"
#include "kernels/kernels.h"
#include "kernels/ref/ref.h"

namespace quern {

// Peaks are a processor's: those of ref stay.
namespace avx2 {
void fill_peak(KernelTable&) {}
}  // namespace avx2
namespace avx512 {
void fill_peak(KernelTable&) {}
}  // namespace avx512

namespace {

KernelTable filled(const char* isa, void (*fill)(KernelTable&)) {
  KernelTable table = ref::table();
  table.isa = isa;
  fill(table);
  return table;
}

}  // namespace

std::span<const IsaInfo> isas() {
  static const KernelTable kAvx2 = filled("avx2", avx2::fill), kAvx512 = filled("avx512", avx512::fill);
  static const KernelTable kAvx512bw = filled("avx512bw", avx512::fill_bw);
  static const IsaInfo kInfos[] = {
      {"avx512", true, &kAvx512}, {"avx512bw", true, &kAvx512bw}, {"avx2", true, &kAvx2}, {"ref", true, &ref::table()}};
  return kInfos;
}

const KernelTable* select_kernels(const char* name) {
  for (const IsaInfo& isa : isas()) {
    if (name == nullptr || std::string_view(name) == isa.name) return isa.table;
  }
  return nullptr;
}

}  // namespace quern
