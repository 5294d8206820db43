// ThreadPool: the worker threads of one backend.
//
// parallel() is called by one thread at a time (the one that owns the pool) and returns when every unit is done.
// Between calls workers spin for a short, bounded time, so that the many small operations of a step need no system
// call, and then sleep. A call waits only for workers that have joined it: one that the system has not given a
// processor, beside a busy neighbour process, misses the call and holds up nobody.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace quern {

class ThreadPool {
 public:
  // n_threads counts the calling thread; at least 1.
  explicit ThreadPool(unsigned n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] unsigned size() const { return static_cast<unsigned>(workers_.size()) + 1; }
  // How many threads take part from now on, 1 .. size().
  void set_active(unsigned n);
  [[nodiscard]] unsigned active() const { return active_; }

  // Calls fn(unit, worker) for each unit in [0, n_units), worker in [0, active()). Units are handed out in ascending
  // order to whoever is free. fn must not throw.
  template <class Fn>
  void parallel(size_t n_units, Fn&& fn) {
    using Callable = std::remove_reference_t<Fn>;
    run(
        n_units, [](void* f, size_t unit, unsigned worker) { (*static_cast<Callable*>(f))(unit, worker); },
        const_cast<void*>(static_cast<const void*>(&fn)));
  }

 private:
  static constexpr uint32_t kClosed = 1u << 31;

  using Invoke = void (*)(void*, size_t, unsigned);
  void run(size_t n_units, Invoke invoke, void* fn);
  void work(unsigned worker);
  bool join();
  void leave();
  void take_units(unsigned worker);

  // The job. Written by the owner while no worker is inside, published by opening the gate (release), read by workers
  // after they have joined (acquire).
  Invoke invoke_ = nullptr;
  void* fn_ = nullptr;
  size_t n_units_ = 0;
  unsigned active_ = 1;

  alignas(64) std::atomic<size_t> next_unit_{0};
  alignas(64) std::atomic<uint32_t> epoch_{0};       // raised once per job, and to stop; workers sleep on it
  alignas(64) std::atomic<uint32_t> gate_{kClosed};  // kClosed, and how many workers are inside
  alignas(64) std::atomic<uint32_t> sleepers_{0};    // workers asleep on epoch_
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

}  // namespace quern
