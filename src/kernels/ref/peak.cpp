// The peak of plain C++ loops: what the scalar kernels could reach.
#include "kernels/ref/ref.h"

namespace quern::ref {

namespace {

constexpr size_t kChains = 16;  // independent, so that latency does not count

// Makes the value unknown to the compiler, which could otherwise compute the loop in advance.
template <class T>
void forget(T& value) {
  asm volatile("" : "+m"(value));
}

template <class T>
double run(size_t iterations, T factor) {
  T x[kChains], sum[kChains] = {};
  for (T& v : x) v = factor;
  forget(x);
  forget(sum);  // else all chains are one
  for (size_t n = 0; n < iterations; ++n) {
    forget(factor);
    for (size_t i = 0; i < kChains; ++i) sum[i] += x[i] * factor;
  }
  forget(sum);
  return static_cast<double>(iterations) * kChains;
}

}  // namespace

double peak_int_macs(size_t iterations) {
  return run<int32_t>(iterations, 3);
}
double peak_float_macs(size_t iterations) {
  return run<float>(iterations, 1.0f);
}

}  // namespace quern::ref
