#include "backend/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/clock.h"
#include "os/cpu_model.h"
#include "os/huge_memory.h"

namespace quern {

namespace {

// Below this many elements an operation stays on the calling thread: waking others costs about as much (2 us).
constexpr size_t kSmallWork = 8192;

// The product, `tokens` at a time (0: all at once), so that their panels stay in a cache while the rows go by.
void in_passes(MatmulFn matmul, const MatmulArgs& all, size_t tokens) {
  if (tokens == 0 || tokens >= all.n_tokens) return matmul(all);
  for (size_t t = 0; t < all.n_tokens; t += tokens) {
    MatmulArgs part = all;
    part.n_tokens = std::min(tokens, all.n_tokens - t);
    part.x = all.x + t * activation_bytes(all.cols);
    part.x_f32 = all.x_f32 + t * all.cols;
    part.y = all.y + t * all.y_stride;
    matmul(part);
  }
}

// Buffers of this size ask for huge pages: at depth, attention walks the whole KV cache once a token, and with pages of
// 4 KB it waits for the TLB as much as for memory.
constexpr size_t kLargeBuffer = 4 * kHugePage;

class MappedBuffer final : public Buffer {
 public:
  MappedBuffer(void* p, size_t n) {
    data = p;
    bytes = n;
  }
  ~MappedBuffer() override { ::munmap(data, bytes); }
};

class HugeBuffer final : public Buffer {
 public:
  HugeBuffer(HugeMemory memory, size_t n) : memory_(std::move(memory)) {
    data = memory_.data();
    bytes = n;
  }

 private:
  HugeMemory memory_;
};

}  // namespace

size_t KvLayer::page_elements() const {
  return n_kv_heads * head_dim * kPagePositions;
}

CpuBackend::CpuBackend(const KernelTable& kernels, const CpuOptions& options)
    : kernels_(kernels),
      pool_(std::max(1u, options.threads)),
      products_(options.tiles_path, fmt::format("{}, {}", cpu_model(), kernels.isa)),
      files_(options.files),
      worker_scratch_(pool_.size()) {
  if (options.pack_cache) packs_ = std::make_unique<PackCache>(*options.pack_cache, files_, pool_);
}

BackendInfo CpuBackend::info() const {
  BackendInfo info{.name = "cpu", .detail = kernels_.isa, .threads = pool_.active()};
  describe_weights(info);
  return info;
}

Result<std::unique_ptr<Buffer>> CpuBackend::make_buffer(size_t bytes) {
  const size_t n = std::max<size_t>(bytes, 1);
  if (n >= kLargeBuffer) {
    QUERN_TRY(HugeMemory memory, HugeMemory::reserved(n));
    return std::unique_ptr<Buffer>(std::make_unique<HugeBuffer>(std::move(memory), n));
  }
  void* p = ::mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return fail_f(ErrorCode::kResource, "no address space for a buffer of {} bytes", bytes);
  return std::unique_ptr<Buffer>(std::make_unique<MappedBuffer>(p, n));
}

void CpuBackend::embed(const TensorSource& table, std::span<const int32_t> ids, float scale, float* out) {
  const FormatInfo& f = format_info(table.type);
  const size_t bytes = *row_bytes(table.type, table.cols);
  chunks(ids.size(), 16, [&](size_t first, size_t count) {
    for (size_t t = first; t < first + count; ++t) {
      float* row = out + t * table.cols;
      f.decode(table.data.data() + static_cast<size_t>(ids[t]) * bytes, row, table.cols);
      if (scale != 1.0f) kernels_.scale(row, scale, table.cols, row);
    }
  });
}

void CpuBackend::quantize(const float* x, size_t n_tokens, size_t cols, std::vector<std::byte>& out) {
  const size_t token_bytes = activation_bytes(cols), full = n_tokens / 16;
  if (out.size() < n_tokens * token_bytes) out.resize(n_tokens * token_bytes);
  std::byte* panels = out.data();
  chunks(full, 1, [&](size_t first, size_t count) {
    for (size_t p = first; p < first + count; ++p) {
      kernels_.quantize_panel(x + p * 16 * cols, 16, cols, panels + p * 16 * token_bytes);
    }
  });
  for (size_t t = full * 16; t < n_tokens;) {
    const size_t n = panel_tokens(n_tokens - t);
    kernels_.quantize_panel(x + t * cols, n, cols, panels + t * token_bytes);
    t += n;
  }
}

// The residuals follow as tokens of their own, so that one product reads the weights once for both.
void CpuBackend::quantize_fine(const float* x, size_t n_tokens, size_t cols) {
  if (residual_.size() < 2 * n_tokens * cols) residual_.resize(2 * n_tokens * cols);
  std::copy_n(x, n_tokens * cols, residual_.data());
  chunks(n_tokens, std::max<size_t>(1, kSmallWork / cols), [&](size_t first, size_t count) {
    kernels_.quantize_residual(x + first * cols, count * cols, residual_.data() + (n_tokens + first) * cols);
  });
  quantize(residual_.data(), 2 * n_tokens, cols, fine_panels_);
}

// Groups [group_begin, group_end) of one output. A fine product is that of the rounded activations plus that of what
// rounding lost: y[t] + y[n_tokens + t] of the doubled batch.
void CpuBackend::multiply(const LinearOutput& o, const float* x, size_t n_tokens, size_t group_begin, size_t group_end,
                          size_t tokens_at_a_time, unsigned worker) {
  const auto& m = static_cast<const CpuMatrix&>(*o.weight);
  MatmulArgs args{.packed = m.packed.data(),
                  .rows = m.rows,
                  .cols = m.cols,
                  .group_begin = group_begin,
                  .group_end = group_end,
                  .x = panels_.data(),
                  .x_f32 = x,
                  .n_tokens = n_tokens,
                  .y = o.y,
                  .y_stride = m.rows};
  const MatmulFn matmul = kernels_.matmul[static_cast<size_t>(m.format->type)];
  if (!o.fine || m.format->is_float) return in_passes(matmul, args, tokens_at_a_time);
  const size_t first = group_begin * kGroupRows, cols = std::min(m.rows, group_end * kGroupRows) - first;
  std::vector<float>& both = worker_scratch_[worker];
  if (both.size() < 2 * n_tokens * cols) both.resize(2 * n_tokens * cols);
  args.x = fine_panels_.data();
  args.n_tokens = 2 * n_tokens;
  args.y = both.data() - first;
  args.y_stride = cols;
  in_passes(matmul, args, tokens_at_a_time);
  for (size_t t = 0; t < n_tokens; ++t) {
    kernels_.add(both.data() + t * cols, both.data() + (n_tokens + t) * cols, cols, o.y + t * m.rows + first);
  }
}

void CpuBackend::linear(const float* x, size_t n_tokens, std::span<const LinearOutput> outputs) {
  bool plain = false, fine = false;
  size_t total_groups = 0;
  for (const LinearOutput& o : outputs) {
    const auto& m = static_cast<const CpuMatrix&>(*o.weight);
    if (!m.format->is_float) (o.fine ? fine : plain) = true;
    total_groups += m.groups();
  }
  if (n_tokens == 0 || outputs.empty()) return;
  const auto& front = static_cast<const CpuMatrix&>(*outputs[0].weight);
  if (plain) quantize(x, n_tokens, front.cols, panels_);
  if (fine) quantize_fine(x, n_tokens, front.cols);
  Tiles::Entry& entry = products_.entry({front.format->type, total_groups, front.cols, n_tokens, pool_.active()});
  const bool settled = entry.settled();
  const Tile tile = entry.next();
  size_t units = 0;
  for (const LinearOutput& o : outputs) units += div_up(static_cast<const CpuMatrix&>(*o.weight).groups(), tile.groups);
  const double start = settled ? 0 : now_s();
  pool_.parallel(units, [&](size_t unit, unsigned worker) {
    for (const LinearOutput& o : outputs) {
      const size_t groups = static_cast<const CpuMatrix&>(*o.weight).groups(), here = div_up(groups, tile.groups);
      if (unit < here) {
        const size_t begin = unit * tile.groups;
        return multiply(o, x, n_tokens, begin, std::min(groups, begin + tile.groups), tile.tokens, worker);
      }
      unit -= here;
    }
  });
  if (!settled) products_.report(entry, (now_s() - start) / static_cast<double>(n_tokens));
}

void CpuBackend::rms_norm(const float* x, const float* weight, size_t n_rows, size_t cols, float eps, float* out) {
  chunks(n_rows, std::max<size_t>(1, kSmallWork / cols), [&](size_t first, size_t count) {
    kernels_.rms_norm(x + first * cols, weight, count, cols, eps, out + first * cols);
  });
}

void CpuBackend::rope(float* x, const RopeArgs& a) {
  const size_t cols = a.n_heads * a.head_dim;
  chunks(a.n_tokens, std::max<size_t>(1, kSmallWork / cols), [&](size_t first, size_t count) {
    for (size_t t = first; t < first + count; ++t) {
      kernels_.rope(x + t * cols, a.n_heads, a.head_dim, a.half, a.interleaved, a.cos + t * a.half, a.sin + t * a.half);
    }
  });
}

void CpuBackend::silu_mul(const float* gate, const float* up, size_t n, float* out) {
  chunks(n, kSmallWork, [&](size_t i, size_t count) { kernels_.silu_mul(gate + i, up + i, count, out + i); });
}
void CpuBackend::gelu_mul(const float* gate, const float* up, size_t n, float* out) {
  chunks(n, kSmallWork, [&](size_t i, size_t count) { kernels_.gelu_mul(gate + i, up + i, count, out + i); });
}
void CpuBackend::add(const float* a, const float* b, size_t n, float* out) {
  chunks(n, 2 * kSmallWork, [&](size_t i, size_t count) { kernels_.add(a + i, b + i, count, out + i); });
}
void CpuBackend::add_bias(float* x, const float* bias, size_t n_tokens, size_t cols) {
  chunks(n_tokens, std::max<size_t>(1, 2 * kSmallWork / cols), [&](size_t first, size_t count) {
    for (size_t t = first; t < first + count; ++t) kernels_.add(x + t * cols, bias, cols, x + t * cols);
  });
}
void CpuBackend::scale(const float* x, float factor, size_t n, float* out) {
  chunks(n, 2 * kSmallWork, [&](size_t i, size_t count) { kernels_.scale(x + i, factor, count, out + i); });
}

void CpuBackend::gather_rows(const float* x, std::span<const uint32_t> rows, size_t cols, float* out) {
  for (size_t i = 0; i < rows.size(); ++i) std::memcpy(out + i * cols, x + rows[i] * cols, cols * sizeof(float));
}

void CpuBackend::copy_page(const KvLayer& kv, uint32_t from, uint32_t to) {
  const size_t bytes = kv.page_elements() * sizeof(uint16_t), stride = kv.page_stride;
  std::memcpy(kv.keys + to * stride, kv.keys + from * stride, bytes);
  std::memcpy(kv.values + to * stride, kv.values + from * stride, bytes);
}

Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options) {
  const KernelTable* kernels = select_kernels(options.isa.c_str());
  if (kernels == nullptr) {
    std::string known;
    for (const IsaInfo& isa : isas()) {
      known +=
          fmt::format("{}{}{}", known.empty() ? "" : ", ", isa.name, isa.supported ? "" : " (not on this processor)");
    }
    return fail_f(ErrorCode::kUnsupported, "instruction set {} cannot run here; this build has {}", options.isa, known);
  }
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(*kernels, options));
}

}  // namespace quern
