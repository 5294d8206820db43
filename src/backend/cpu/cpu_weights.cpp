// The weights of the CPU backend: packed at load, or mapped from the cache of packed weights.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "base/checked.h"
#include "base/clock.h"

namespace quern {

namespace {

// Anonymous weights come from chunks of this size: a matrix of its own mapping would waste half a huge page.
constexpr size_t kArenaChunk = size_t{64} << 20;
constexpr size_t kGroupsPerUnit = 4;
// Of packed weights, after which the source's pages are released: the part of a model that is in memory twice.
constexpr size_t kSliceBytes = size_t{16} << 20;

PackEntry entry_of(const TensorSource& s, const PackedLayout& layout) {
  return {.name = digest(std::as_bytes(std::span(s.name))),
          .first_row = s.first_row,
          .rows = s.rows,
          .cols = s.cols,
          .bytes = layout.total_bytes,
          .format = format_info(s.type).ggml_id};
}

}  // namespace

Result<std::byte*> WeightArena::take(size_t bytes) {
  const size_t at = round_up(used_, kPackAlignment);
  if (chunk_ && at <= chunk_->size() && bytes <= chunk_->size() - at) {
    used_ = at + bytes;
    return chunk_->data() + at;
  }
  QUERN_TRY(HugeMemory chunk, HugeMemory::anonymous(std::max(bytes, kArenaChunk)));
  chunk_ = std::make_shared<HugeMemory>(std::move(chunk));
  used_ = bytes;
  return chunk_->data();
}

void CpuBackend::release_source(std::span<const std::byte> data) {
  for (const MappedFile* file : files_) {
    const auto bytes = file->bytes();
    if (data.data() >= bytes.data() && data.data() < bytes.data() + bytes.size()) {
      file->release(static_cast<size_t>(data.data() - bytes.data()), data.size());
    }
  }
}

// Packs groups [first, first + count) of a matrix to `dst`; their part of the source is not needed afterwards.
void CpuBackend::pack(const CpuMatrix& m, const TensorSource& s, size_t first, size_t count, std::byte* dst) {
  const size_t row = first * kGroupRows, rows = std::min(s.rows - row, count * kGroupRows);
  const auto src = s.data.subspan(row * *row_bytes(s.type, s.cols), rows * *row_bytes(s.type, s.cols));
  pool_.parallel(div_up(count, kGroupsPerUnit), [&](size_t unit, unsigned) {
    pack_groups(*m.format, m.layout, src, rows, s.cols, unit * kGroupsPerUnit,
                std::min(count, (unit + 1) * kGroupsPerUnit), dst);
  });
  release_source(src);
}

// Packs into the cache's file; false where that has no room for the matrix.
Result<bool> CpuBackend::pack_to_cache(CpuMatrix& m, const TensorSource& s, const PackEntry& entry) {
  PackWriter* writer = packs_ ? packs_->writer() : nullptr;
  const size_t piece = m.layout.group_bytes;
  if (writer == nullptr || !PackWriter::can_hold(entry, piece)) return false;
  const std::byte* at = writer->begin(entry);
  if (at == nullptr) return false;
  m.packed = {at, m.layout.total_bytes};
  m.memory = writer->memory();
  for (size_t g = 0; g < m.groups();) {
    QUERN_TRY(const std::span<std::byte> room, writer->stage(piece));
    const size_t n = std::min(m.groups() - g, room.size() / piece);
    pack(m, s, g, n, room.data());
    writer->commit(n * piece);
    g += n;
  }
  return true;
}

Result<std::unique_ptr<Matrix>> CpuBackend::make_matrix(const TensorSource& s) {
  auto m = std::make_unique<CpuMatrix>();
  m->format = &format_info(s.type);
  auto layout = packed_layout(*m->format, s.rows, s.cols);
  if (!layout) return fail_f(layout.error().code, "{}: {}", s.name, layout.error().message);
  const auto needed = checked_mul(*row_bytes(s.type, s.cols), s.rows);
  if (!needed || s.data.size() < *needed) {
    return fail_f(ErrorCode::kCorrupt, "{}: holds {} bytes, its shape needs more", s.name, s.data.size());
  }
  m->layout = *layout;
  m->rows = s.rows;
  m->cols = s.cols;
  m->bytes = layout->total_bytes;
  const double start = now_s();
  const PackEntry entry = entry_of(s, *layout);
  const std::byte* found = packs_ ? packs_->find(entry, layout->group_bytes) : nullptr;
  if (found != nullptr) {
    m->packed = {found, layout->total_bytes};
    m->memory = packs_->memory();
    return std::unique_ptr<Matrix>(std::move(m));
  }
  QUERN_TRY(const bool cached, pack_to_cache(*m, s, entry));
  if (!cached) {
    const auto memory = arena_.take(layout->total_bytes);
    if (!memory) {
      return fail_f(ErrorCode::kResource, "{}: no memory for its {} packed bytes", s.name, layout->total_bytes);
    }
    m->packed = {*memory, layout->total_bytes};
    m->memory = arena_.owner();
    const size_t piece = layout->group_bytes, slice = std::max<size_t>(1, kSliceBytes / piece);
    for (size_t g = 0; g < m->groups(); g += slice) {
      pack(*m, s, g, std::min(slice, m->groups() - g), *memory + g * piece);
    }
  }
  packing_seconds_ += now_s() - start;
  return std::unique_ptr<Matrix>(std::move(m));
}

Status CpuBackend::finish_weights() {
  const double start = now_s();
  if (packs_) QUERN_CHECK_OK(packs_->finish());
  files_.clear();
  packing_seconds_ += now_s() - start;
  return {};
}

void CpuBackend::describe_weights(BackendInfo& info) const {
  const bool found = packs_ && packs_->found();
  info.weights = found                         ? "mapped from the cache"
                 : packs_ && packs_->written() ? fmt::format("packed in {:.2f} s and kept", packing_seconds_)
                                               : fmt::format("packed in {:.2f} s", packing_seconds_);
  if (packs_) info.notices = packs_->notices();
}

Result<std::unique_ptr<Buffer>> CpuBackend::make_floats(const TensorSource& s) {
  const auto n = checked_mul(s.rows, s.cols);
  const auto needed = n ? row_bytes(s.type, *n) : std::nullopt;
  const auto wide = n ? checked_mul(*n, sizeof(float)) : std::nullopt;
  if (!needed || !wide || s.data.size() < *needed) {
    return fail_f(ErrorCode::kCorrupt, "{}: holds {} bytes, its shape needs more", s.name, s.data.size());
  }
  QUERN_TRY(auto buffer, make_buffer(*wide));
  format_info(s.type).decode(s.data.data(), buffer->floats(), *n);
  return buffer;
}

}  // namespace quern
