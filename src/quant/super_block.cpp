#include "quant/super_block.h"

#include <algorithm>
#include <cmath>

#include "base/half.h"

namespace quern::formats_detail {

void fit_super_affine(const float* in, int sub_block, int code_max, int scale_max, SuperFit& out) {
  float x[kSuper];
  clean(in, x, kSuper);
  const int n_sub = kSuper / sub_block;
  Affine fits[16];
  double max_d = 0;
  double max_m = 0;
  for (int s = 0; s < n_sub; ++s) {
    fits[s] = fit_affine({x + s * sub_block, size_t(sub_block)}, code_max, true);
    max_d = std::max(max_d, fits[s].d);
    max_m = std::max(max_m, fits[s].m);
  }
  out.d = finite_f16(max_d / scale_max);
  out.m = finite_f16(max_m / scale_max);
  const double d = f16_to_f32(out.d);
  const double m = f16_to_f32(out.m);
  for (int s = 0; s < n_sub; ++s) {
    out.scale[s] = d == 0 ? 0 : round_clamp(fits[s].d / d, 0, scale_max);
    out.min[s] = m == 0 ? 0 : round_clamp(fits[s].m / m, 0, scale_max);
    const double step = d * out.scale[s];
    const double low = m * out.min[s];
    for (int i = s * sub_block; i < (s + 1) * sub_block; ++i)
      out.code[i] = static_cast<uint8_t>(step == 0 ? 0 : round_clamp((x[i] + low) / step, 0, code_max));
  }
}

void fit_super_signed(const float* in, int sub_block, const LevelSet& levels, int scale_lo, int scale_hi,
                      SuperFit& out) {
  float x[kSuper];
  clean(in, x, kSuper);
  const int n_sub = kSuper / sub_block;
  double fits[16] = {};
  double widest = 0;
  for (int s = 0; s < n_sub; ++s) {
    fits[s] = fit_scale({x + s * sub_block, size_t(sub_block)}, levels);
    if (std::fabs(fits[s]) > std::fabs(widest)) widest = fits[s];
  }
  // The widest sub-block takes the longer end of the scales; d then has the opposite sign.
  out.d = finite_f16(widest / scale_lo);
  const double d = f16_to_f32(out.d);
  for (int s = 0; s < n_sub; ++s) {
    out.scale[s] = d == 0 ? 0 : round_clamp(fits[s] / d, scale_lo, scale_hi);
    const double step = d * out.scale[s];
    for (int i = s * sub_block; i < (s + 1) * sub_block; ++i)
      out.level[i] = static_cast<int8_t>(levels.nearest(step == 0 ? 0 : x[i] / step));
  }
}

}  // namespace quern::formats_detail
