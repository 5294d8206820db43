// What sequences leave behind: pages in the prefix index, and those of long prefixes in the folder, from where they
// come back after a restart.
#include <algorithm>

#include "engine/loop.h"

namespace quern {

namespace {

// A shorter prefix is computed about as fast as its pages are read and checked.
constexpr size_t kLongPrefix = 512;
// Pages that a step takes from the folder: copying one costs tenths of a millisecond, which streams must not feel.
constexpr size_t kRestoreBeside = 4, kRestoreAlone = 64;

}  // namespace

// `from`: what lies before was kept by an earlier call.
void Loop::keep_pages(const Job& job, const Sequence& s, size_t from, bool ended) {
  if (job.request.embed || s.n_computed == 0) return;
  const std::span<const int32_t> ids = std::span(s.ids).first(s.n_computed);
  prefixes_.insert(job.tenant, ids, s.pages, ended);
  ++version_;
  if (options_.folder == nullptr || ids.size() < kLongPrefix) return;
  if (from < kLongPrefix) from = 0;
  const std::span<const uint32_t> pages = s.pages.pages();
  options_.folder->keep(job.request.tenant, ids, from,
                        [&](size_t i, std::span<std::byte> to) { runner_.kv().read_page(pages[i], to); });
}

// Begins to fetch what the folder has of the prompt beyond the `matched` tokens that are in memory.
void Loop::look_on_disk(Job& job, size_t matched) {
  if (options_.folder == nullptr || job.looked_on_disk || job.fetch != nullptr) return;
  job.looked_on_disk = true;
  const std::span<const int32_t> ids =
      std::span<const int32_t>(job.sequences[0].ids).first(job.sequences[0].ids.size() - 1);
  const size_t from = matched / kKvPageTokens * kKvPageTokens;
  const size_t n = options_.folder->available(job.request.tenant, ids, from);
  if (n == 0 || from + n * kKvPageTokens < kLongPrefix) return;
  PrefixIndex::Match match = prefixes_.find(job.tenant, ids.first(from));
  if (match.n_tokens != from) return;
  job.restored = std::move(match.pages);
  job.fetch = options_.folder->fetch(job.request.tenant, ids, from, n, options_.wake);
}

bool Loop::restore_page(Job& job, const KvPageBytes& page) {
  PageTable& table = *job.restored;
  if (runner_.kv().pool().free_pages() == 0) prefixes_.evict(1);
  const size_t at = table.pages().size() * kKvPageTokens;
  std::vector<PageCopy> copies;
  if (!table.make_writable(at, at + kKvPageTokens, copies)) return false;
  runner_.kv().write_page(table.pages().back(), page.payload());
  return true;
}

void Loop::restore_pages() {
  if (options_.folder == nullptr) return;
  size_t left = running_.empty() ? kRestoreAlone : kRestoreBeside;
  for (const auto& job : jobs_) {
    if (job->fetch == nullptr) continue;
    const size_t before = job->restored->pages().size();
    bool room = true;
    while (room && left > 0) {
      const auto page = job->fetch->take();
      if (!page) break;
      room = restore_page(*job, *page);
      --left;
    }
    const size_t n = job->restored->pages().size() * kKvPageTokens;
    if (job->restored->pages().size() > before) {
      prefixes_.insert(job->tenant, std::span<const int32_t>(job->sequences[0].ids).first(n), *job->restored, false);
    }
    if (room && (left == 0 || !job->fetch->ended())) continue;
    // A fetch has a limit of its own: where this one brought something there may be more.
    job->looked_on_disk = !room || n == 0;
    ++version_;
    job->fetch.reset();
    job->restored.reset();
  }
}

}  // namespace quern
