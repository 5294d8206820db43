#include "engine/service.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "engine/engine_impl.h"
#include "engine/kv_folder.h"
#include "engine/kv_model_key.h"
#include "engine/loop.h"
#include "engine/service_internals.h"

namespace quern {

class Service::Impl {
 public:
  std::unique_ptr<Engine> engine;
  std::shared_ptr<ServiceObserver> observer;
  std::unique_ptr<KvFolder> folder;
  std::unique_ptr<Loop> loop;
  size_t max_waiting = 0;

  ~Impl() { folder.reset(); }  // its thread pokes

  static Result<std::unique_ptr<Service>> create(const ServiceOptions& options, const BackendFactory& make_backend,
                                                 std::shared_ptr<ServiceObserver> observer) {
    auto impl = std::make_unique<Impl>();
    QUERN_TRY(impl->engine, EngineInternals::load(options.engine, make_backend));
    Runner& runner = EngineInternals::runner(*impl->engine);
    impl->observer = std::move(observer);
    if (!options.kv_dir.empty()) {
      QUERN_TRY(impl->folder, KvFolder::open({.folder = options.kv_dir,
                                              .model_key = kv_model_key(runner.model_file()),
                                              .shape = runner.kv().shape(),
                                              .limit_bytes = options.kv_dir_bytes}));
    }
    impl->max_waiting = options.max_waiting;
    const size_t pages = runner.kv().pool().n_pages();
    const size_t kept = options.prefix_cache_bytes / runner.kv().page_bytes();
    impl->loop = std::make_unique<Loop>(
        runner, EngineInternals::tokenizer(*impl->engine),
        LoopOptions{.n_parallel = options.engine.n_parallel,
                    .max_itl_s = options.max_itl_ms / 1000,
                    .ageing_s = options.ageing_s,
                    .prefix_pages = options.prefix_cache_bytes == 0 ? pages / 2 : std::min(kept, pages),
                    .folder = impl->folder.get(),
                    .wake = [i = impl.get()] { i->poke(); },
                    .on_leave = [i = impl.get()] { i->publish(); }},
        impl->observer.get());
    impl->start();
    return std::unique_ptr<Service>(new Service(std::move(impl)));
  }

  void start() {
    publish();
    thread_ = std::thread([this] { run(); });
  }

  // Something outside the inbox happened.
  void poke() {
    {
      const std::lock_guard lock(mutex_);
      poked_ = true;
    }
    wake_.notify_one();
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  Result<RequestId> submit(ServiceRequest request, std::shared_ptr<RequestSink> sink) {
    QUERN_TRY(std::unique_ptr<Job> job, loop->prepare(std::move(request), std::move(sink)));
    RequestId id = 0;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return fail(ErrorCode::kCancelled, "the service is stopping");
      // What came since the last step does not wait as long as there are free slots.
      const size_t free = state_.waiting == 0 && state_.running < state_.slots ? state_.slots - state_.running : 0;
      if (const size_t waiting = state_.waiting + coming(); waiting >= max_waiting + free) {
        return fail_f(ErrorCode::kBusy, "{} requests wait already, at most {} may", waiting, max_waiting);
      }
      id = job->id = next_id_++;
      inbox_.added.push_back(std::move(job));
    }
    wake_.notify_one();
    return id;
  }

  // What is asked for a request goes to the thread in order, after the request itself.
  void ask(RequestId id, std::optional<bool> pause) {
    {
      const std::lock_guard lock(mutex_);
      inbox_.asked.push_back({id, pause});
    }
    wake_.notify_one();
  }

  [[nodiscard]] ServiceState state() const {
    ServiceState s;
    {
      const std::lock_guard lock(mutex_);
      s = state_;
      s.waiting += coming();
    }
    if (folder == nullptr) return s;
    // As it is now: the folder goes on after the last step.
    KvFolderStats disk = folder->stats();
    s.disk_hits = disk.hits;
    s.disk_writes = disk.writes;
    s.disk_errors = disk.errors;
    s.disk_notice = std::move(disk.notice);
    return s;
  }

  [[nodiscard]] bool idle() const {
    const std::lock_guard lock(mutex_);
    return empty_ && inbox_.added.empty();
  }

 private:
  struct Asked {
    RequestId id;
    std::optional<bool> pause;  // none: cancel
  };
  struct Inbox {
    std::vector<std::unique_ptr<Job>> added;
    std::vector<Asked> asked;
  };

  void run() {
    bool active = false;
    while (auto inbox = next(active)) {
      unadded_ = inbox->added.size();
      for (auto& job : inbox->added) {
        --unadded_;
        job->sink->on_accepted(job->id);
        loop->add(std::move(job));
      }
      for (const Asked& a : inbox->asked) {
        if (a.pause) {
          loop->pause(a.id, *a.pause);
        } else {
          loop->cancel(a.id);
        }
      }
      active = loop->step();
      publish();
    }
    const Error over{ErrorCode::kCancelled, "the service stops"};
    loop->fail_all(over);
    publish();
    Inbox left;
    {
      const std::lock_guard lock(mutex_);
      left = std::exchange(inbox_, {});
    }
    // Without the lock: a sink may call the service's members.
    for (auto& job : left.added) job->sink->on_end(tl::unexpected<Error>(over));
  }

  // Waits until there is something to do; nullopt when it is over.
  std::optional<Inbox> next(bool active) {
    std::unique_lock lock(mutex_);
    const auto has_mail = [this] { return stopping_ || poked_ || !inbox_.added.empty() || !inbox_.asked.empty(); };
    if (!active) {
      // A paused request may still expire.
      const double left = loop->next_deadline() - now_s();
      if (left < 1e6) {
        wake_.wait_for(lock, std::chrono::duration<double>(std::max(0.0, left)), has_mail);
      } else {
        wake_.wait(lock, has_mail);
      }
    }
    poked_ = false;
    if (stopping_) return std::nullopt;
    if (!inbox_.added.empty()) {  // publish() is a step away, and tokens come within it
      empty_ = false;
      taken_ = inbox_.added.size();
    }
    return std::exchange(inbox_, {});
  }

  // Requests that state_ does not know yet. Under the lock.
  [[nodiscard]] size_t coming() const { return taken_ + inbox_.added.size(); }

  void publish() {
    const ServiceState s = loop->state();
    const std::lock_guard lock(mutex_);
    state_ = s;
    taken_ = unadded_;
    empty_ = loop->empty();
  }

  std::thread thread_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Inbox inbox_;
  ServiceState state_;
  size_t taken_ = 0;    // from the inbox since state_ was told
  size_t unadded_ = 0;  // of them, not yet in the loop; the thread's own
  bool empty_ = true, stopping_ = false, poked_ = false;
  RequestId next_id_ = 1;
};

Service::Service(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Service::~Service() {
  impl_->stop();
}

Result<std::unique_ptr<Service>> Service::create(const ServiceOptions& options,
                                                 std::shared_ptr<ServiceObserver> observer) {
  return Impl::create(options, {}, std::move(observer));
}

Result<std::unique_ptr<Service>> ServiceInternals::create(const ServiceOptions& options,
                                                          const BackendFactory& make_backend,
                                                          std::shared_ptr<ServiceObserver> observer) {
  return Service::Impl::create(options, make_backend, std::move(observer));
}

const Engine& Service::engine() const {
  return *impl_->engine;
}
Result<RequestId> Service::submit(ServiceRequest request, std::shared_ptr<RequestSink> sink) {
  return impl_->submit(std::move(request), std::move(sink));
}
void Service::cancel(RequestId id) {
  impl_->ask(id, std::nullopt);
}
void Service::pause(RequestId id, bool paused) {
  impl_->ask(id, paused);
}
void Service::stop() {
  impl_->stop();
}
ServiceState Service::state() const {
  return impl_->state();
}
bool Service::idle() const {
  return impl_->idle();
}

}  // namespace quern
