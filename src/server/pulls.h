// Pulls: models that clients fetch into the cache folder, each on a thread of its own.
//
// Who asks for a source that is being fetched joins that pull. A pull that nobody watches any more stops, and so do all
// when the server drains; what has come is kept, and the next pull of that source goes on from there. Owned by the App;
// any thread may call any member.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"
#include "hub/pull.h"

namespace quern::server {

struct PullStep {
  std::string note;    // a sentence for the user; else a piece of a file has come:
  std::string file;    // as messages name it
  std::string sha256;  // that it must have; empty: not known beforehand
  uint64_t done = 0, total = 0;
};

// Called on the pull's thread, in order; on_end once and last, unless leave() came before it.
struct PullWatcher {
  std::function<void(const PullStep&)> on_step;
  std::function<void(const Result<hub::Pulled>&)> on_end;
};

class Pulls {
 public:
  using Fetch = std::function<Result<hub::Pulled>(const std::string& source, const hub::PullMonitor&)>;
  // `fetch` runs on the pull's thread; the default is hub::pull().
  explicit Pulls(Fetch fetch = {});
  ~Pulls();  // stop(), and joins
  Pulls(const Pulls&) = delete;
  Pulls& operator=(const Pulls&) = delete;

  // Joins the pull of that source or begins one. kBusy when too many run, kCancelled after stop().
  Result<uint64_t> watch(const std::string& source, PullWatcher watcher);
  // A call that is running may still come to its end. Unknown and ended ids are ignored.
  void leave(uint64_t id);
  void stop();

 private:
  struct Pull {
    std::string source;
    std::map<uint64_t, std::shared_ptr<const PullWatcher>> watchers;
    bool ended = false;
    std::thread thread;
  };
  void run(Pull& pull);
  void tell(Pull& pull, const PullStep& step);
  bool unwanted(const Pull& pull);
  void join_ended();

  const Fetch fetch_;
  std::mutex mutex_;
  std::list<Pull> pulls_;
  uint64_t last_id_ = 0;
  bool stopping_ = false;
};

}  // namespace quern::server
