// Attention and KV pages on the CPU. A tile is a few tokens of one sequence with the query heads that share one KV
// head. Positions are walked in pages of 64, pages in segments of kSegmentPages that start from an empty softmax and
// are merged in ascending order: that order is the specification, so one long sequence may be split among threads by
// segment without a change of bits (docs/numerics.md).
#include <algorithm>
#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "base/checked.h"

namespace quern {

namespace {

constexpr size_t kTileQueries = 48;
constexpr size_t kSegmentPositions = kSegmentPages * kPagePositions;

}  // namespace

size_t CpuBackend::AttentionTile::segment_begin() const {
  return first_position / kSegmentPositions;
}
size_t CpuBackend::AttentionTile::segment_end() const {
  return div_up(end_position, kSegmentPositions);
}
size_t CpuBackend::AttentionTile::first_page(size_t segment) const {
  return std::max(segment * kSegmentPages, first_position / kPagePositions);
}
size_t CpuBackend::AttentionTile::end_page(size_t segment) const {
  return std::min((segment + 1) * kSegmentPages, div_up(end_position, kPagePositions));
}

CpuBackend::KvBlock CpuBackend::kv_block(const KvLayer& kv, const AttentionTile& tile, size_t page) {
  const size_t at = tile.sequence->pages[page] * kv.page_stride + tile.kv_head * kv.head_dim * kPagePositions;
  return {kv.keys + at, kv.values + at};
}

// max, sum: [n_queries], out: [n_queries][head_dim], all in one run of floats.
struct CpuBackend::AttentionState {
  float* max;
  float* sum;
  float* out;
  static size_t floats(size_t n_queries, size_t head_dim) { return n_queries * (head_dim + 2); }
  static AttentionState at(float* p, size_t n_queries) { return {p, p + n_queries, p + 2 * n_queries}; }
  void clear(size_t n_queries, size_t head_dim) const {
    std::fill_n(max, n_queries, -INFINITY);
    std::fill_n(sum, n_queries, 0.0f);
    std::fill_n(out, n_queries * head_dim, 0.0f);
  }
};

void CpuBackend::gather_queries(const AttentionArgs& a, const AttentionTile& tile, float* q) {
  const size_t dim = a.kv.head_dim;
  const size_t row0 = tile.sequence->first_token + tile.first;
  for (size_t t = 0; t < tile.n_tokens; ++t) {
    const float* from = a.q + ((row0 + t) * a.n_heads + tile.kv_head * tile.group) * dim;
    kernels_.scale(from, a.scale, tile.group * dim, q + t * tile.group * dim);
  }
}

// Segments [segment_begin, segment_end) of a tile, merged into `state` when there are several. `after` is what this
// worker will probably read next.
void CpuBackend::attend(const AttentionArgs& a, const AttentionTile& tile, size_t segment_begin, size_t segment_end,
                        KvBlock after, AttentionState state, unsigned worker) {
  const size_t dim = a.kv.head_dim, n = tile.n_queries();
  float* q = worker_scratch_[worker].data();
  gather_queries(a, tile, q);
  // After the queries and the state of attention_whole: a second state and the kernel's scratch.
  float* scratch = q + n * dim + AttentionState::floats(n, dim);
  const bool single = segment_end - segment_begin == 1;
  const AttentionState into = single ? state : AttentionState::at(scratch, n);
  uint8_t begin[kTileQueries * 2], end[kTileQueries * 2];
  AttentionPageArgs page{.q = q,
                         .keys = nullptr,
                         .values = nullptr,
                         .head_dim = dim,
                         .n_queries = n,
                         .begin = begin,
                         .end = end,
                         .max = into.max,
                         .sum = into.sum,
                         .out = into.out,
                         .scratch = scratch + AttentionState::floats(n, dim)};

  const size_t pos0 = tile.sequence->first_position + tile.first;
  const size_t last_page = tile.end_page(segment_end - 1) - 1;
  KvBlock next = kv_block(a.kv, tile, tile.first_page(segment_begin));
  for (size_t s = segment_begin; s < segment_end; ++s) {
    into.clear(n, dim);
    for (size_t p = tile.first_page(s); p < tile.end_page(s); ++p) {
      const size_t base = p * kPagePositions;
      for (size_t t = 0; t < tile.n_tokens; ++t) {
        const size_t pos = pos0 + t;
        const size_t low = a.window != 0 && pos + 1 > a.window ? pos + 1 - a.window : 0;
        const size_t from = low > base ? std::min(low - base, kPagePositions) : 0;
        const size_t to = pos + 1 > base ? std::min(pos + 1 - base, kPagePositions) : 0;
        std::fill_n(begin + t * tile.group, tile.group, static_cast<uint8_t>(from));
        std::fill_n(end + t * tile.group, tile.group, static_cast<uint8_t>(to));
      }
      page.keys = next.keys;
      page.values = next.values;
      next = p < last_page ? kv_block(a.kv, tile, p + 1) : after;
      page.next_keys = next.keys;
      page.next_values = next.values;
      kernels_.attention_page(page);
    }
    if (!single) kernels_.attention_merge(page, state.max, state.sum, state.out);
  }
}

void CpuBackend::finish(const AttentionArgs& a, const AttentionTile& tile, const AttentionState& state) {
  const size_t dim = a.kv.head_dim;
  const size_t row0 = tile.sequence->first_token + tile.first;
  for (size_t i = 0; i < tile.n_queries(); ++i) {
    const size_t t = i / tile.group, head = tile.kv_head * tile.group + i % tile.group;
    kernels_.scale(state.out + i * dim, 1.0f / state.sum[i], dim, a.out + ((row0 + t) * a.n_heads + head) * dim);
  }
}

// Many tiles: each is one unit. Units go to threads in turn as long as these are about equally fast, so a worker's next
// one is probably that many further on.
void CpuBackend::attention_whole(const AttentionArgs& a, std::span<const AttentionTile> tiles) {
  const size_t dim = a.kv.head_dim, stride = pool_.active();
  pool_.parallel(tiles.size(), [&](size_t unit, unsigned worker) {
    const AttentionTile& tile = tiles[unit];
    const size_t n = tile.n_queries();
    const AttentionState state = AttentionState::at(worker_scratch_[worker].data() + n * dim, n);
    state.clear(n, dim);
    const size_t later = unit + stride;
    const KvBlock after = later < tiles.size()
                              ? kv_block(a.kv, tiles[later], tiles[later].first_page(tiles[later].segment_begin()))
                              : KvBlock{};
    attend(a, tile, tile.segment_begin(), tile.segment_end(), after, state, worker);
    finish(a, tile, state);
  });
}

// Few tiles over long contexts: a unit is one segment of a tile; a second pass merges.
void CpuBackend::attention_split(const AttentionArgs& a, std::span<const AttentionTile> tiles) {
  const size_t dim = a.kv.head_dim, stride = pool_.active();
  segments_.clear();
  size_t floats = 0;
  for (const AttentionTile& t : tiles) {
    for (size_t s = t.segment_begin(); s < t.segment_end(); ++s) {
      segments_.push_back({&t, s, floats});
      floats += AttentionState::floats(t.n_queries(), dim);
    }
  }
  if (partials_.size() < floats) partials_.resize(floats);
  pool_.parallel(segments_.size(), [&](size_t unit, unsigned worker) {
    const AttentionSegment& s = segments_[unit];
    KvBlock after;
    if (unit + stride < segments_.size()) {
      const AttentionSegment& later = segments_[unit + stride];
      after = kv_block(a.kv, *later.tile, later.tile->first_page(later.index));
    }
    const AttentionState state = AttentionState::at(partials_.data() + s.partial, s.tile->n_queries());
    attend(a, *s.tile, s.index, s.index + 1, after, state, worker);
  });
  float* at = partials_.data();
  for (const AttentionTile& tile : tiles) {
    const size_t n = tile.n_queries(), size = AttentionState::floats(n, dim);
    const AttentionState state = AttentionState::at(worker_scratch_[0].data(), n);
    state.clear(n, dim);
    for (size_t s = tile.segment_begin(); s < tile.segment_end(); ++s, at += size) {
      const AttentionState part = AttentionState::at(at, n);
      AttentionPageArgs seg{};
      seg.head_dim = dim;
      seg.n_queries = n;
      seg.max = part.max;
      seg.sum = part.sum;
      seg.out = part.out;
      kernels_.attention_merge(seg, state.max, state.sum, state.out);
    }
    finish(a, tile, state);
  }
}

void CpuBackend::attention(const AttentionArgs& a) {
  const size_t group = a.n_heads / a.kv.n_kv_heads;
  const size_t tile_tokens = std::max<size_t>(1, kTileQueries / group);
  tiles_.clear();
  size_t segments = 0;
  for (const SequenceSpan& s : a.sequences) {
    for (size_t first = 0; first < s.n_tokens; first += tile_tokens) {
      const size_t n = std::min(tile_tokens, s.n_tokens - first);
      const size_t pos = s.first_position + first;
      const size_t low = a.window != 0 && pos + 1 > a.window ? pos + 1 - a.window : 0;
      for (size_t h = 0; h < a.kv.n_kv_heads; ++h) {
        tiles_.push_back({&s, first, n, h, low, pos + n, group});
        segments += tiles_.back().segment_end() - tiles_.back().segment_begin();
      }
    }
  }
  const size_t dim = a.kv.head_dim, queries = tile_tokens * group;
  const size_t needed = queries * dim + 2 * AttentionState::floats(queries, dim) + attention_scratch_floats(dim);
  for (auto& s : worker_scratch_) {
    if (s.size() < needed) s.resize(needed);
  }
  const unsigned threads = pool_.active();
  if (threads > 1 && tiles_.size() < 4 * threads && segments > tiles_.size()) {
    attention_split(a, tiles_);
  } else {
    attention_whole(a, tiles_);
  }
}

void CpuBackend::store_kv(const KvLayer& kv, std::span<const SequenceSpan> sequences, const float* k, const float* v) {
  const size_t dim = kv.head_dim, heads = kv.n_kv_heads;
  for (const SequenceSpan& s : sequences) {
    const size_t first_page = s.first_position / kPagePositions;
    const size_t end_page = div_up(s.first_position + s.n_tokens, kPagePositions);
    chunks(end_page - first_page, 1, [&](size_t page, size_t) {
      page += first_page;
      const size_t begin = std::max(s.first_position, page * kPagePositions);
      const size_t end = std::min(s.first_position + s.n_tokens, (page + 1) * kPagePositions);
      uint16_t* keys = kv.keys + s.pages[page] * kv.page_stride;
      uint16_t* values = kv.values + s.pages[page] * kv.page_stride;
      uint16_t half[512];
      for (size_t pos = begin; pos < end; ++pos) {
        const size_t row = s.first_token + pos - s.first_position, lane = pos % kPagePositions;
        for (size_t h = 0; h < heads; ++h) {
          const float* k_row = k + (row * heads + h) * dim;
          kernels_.to_f16(v + (row * heads + h) * dim, dim, values + (h * kPagePositions + lane) * dim);
          for (size_t d = 0; d < dim; d += std::size(half)) {
            const size_t n = std::min(dim - d, std::size(half));
            kernels_.to_f16(k_row + d, n, half);
            uint16_t* column = keys + (h * dim + d) * kPagePositions + lane;
            for (size_t i = 0; i < n; ++i) column[i * kPagePositions] = half[i];
          }
        }
      }
    });
  }
}

}  // namespace quern
