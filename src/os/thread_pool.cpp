#include "os/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace quern {

namespace {

// About 50 us of spinning: longer than the gap between two operations of a step, shorter than a scheduler's time slice.
constexpr int kSpins = 1500;

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(unsigned n_threads) : active_(n_threads == 0 ? 1 : n_threads) {
  for (unsigned i = 1; i < active_; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_seq_cst);
  epoch_.notify_all();
  for (std::thread& t : workers_) t.join();
}

void ThreadPool::set_active(unsigned n) {
  active_ = n < 1 ? 1 : (n > size() ? size() : n);
}

void ThreadPool::take_units(unsigned worker) {
  for (;;) {
    const size_t unit = next_unit_.fetch_add(1, std::memory_order_relaxed);
    if (unit >= n_units_) return;
    invoke_(fn_, unit, worker);
  }
}

void ThreadPool::run(size_t n_units, Invoke invoke, void* fn) {
  if (n_units == 0) return;
  if (active_ == 1 || n_units == 1) {
    for (size_t i = 0; i < n_units; ++i) invoke(fn, i, 0);
    return;
  }
  invoke_ = invoke;
  fn_ = fn;
  n_units_ = n_units;
  next_unit_.store(0, std::memory_order_relaxed);
  gate_.store(0, std::memory_order_release);
  // seq_cst orders this against a worker's sleepers_ increment: either we see the sleeper or it sees the new epoch.
  epoch_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) epoch_.notify_all();
  take_units(0);
  // Nobody joins from here on; what the workers inside have written is seen with the acquire that reads their leaving.
  uint32_t gate = gate_.fetch_or(kClosed, std::memory_order_acq_rel) | kClosed;
  for (int spins = 0; gate != kClosed; gate = gate_.load(std::memory_order_acquire)) {
    if (++spins < kSpins) {
      relax();
    } else {
      gate_.wait(gate, std::memory_order_acquire);
    }
  }
}

bool ThreadPool::join() {
  uint32_t gate = gate_.load(std::memory_order_relaxed);
  while ((gate & kClosed) == 0) {
    if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  }
  return false;
}

void ThreadPool::leave() {
  if (gate_.fetch_sub(1, std::memory_order_acq_rel) == (kClosed | 1u)) gate_.notify_one();
}

void ThreadPool::work(unsigned worker) {
  uint32_t seen = 0;
  for (;;) {
    int spins = 0;
    uint32_t epoch;
    while ((epoch = epoch_.load(std::memory_order_acquire)) == seen) {
      if (++spins < kSpins) {
        relax();
        continue;
      }
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      epoch_.wait(seen, std::memory_order_seq_cst);
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
    }
    seen = epoch;
    if (stopping_.load(std::memory_order_relaxed)) return;
    if (!join()) continue;
    if (worker < active_) take_units(worker);
    leave();
  }
}

}  // namespace quern
