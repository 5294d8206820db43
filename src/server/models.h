// ModelStore: the models of a server: loaded when they are first asked for, unloaded when nobody asked for keep_alive
// seconds, within a limit of memory.
//
// Clients name a model by its name in the configuration, "default" (the first), or the name of a file in the cache
// folder; never by a path. Loading runs on a thread of the store's own, one model at a time; requests for it wait
// without a thread. All members may be called from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "chat/chat_template.h"
#include "chat/tools/tool_format.h"
#include "engine/service.h"
#include "server/config/server_config.h"
#include "server/embedder.h"
#include "server/metrics/metrics.h"

namespace quern::server {

struct Model {
  std::string name;  // as it was configured or pulled
  std::string path;
  ModelSettings settings;
  std::shared_ptr<ModelMetrics> metrics;
  std::unique_ptr<Service> service;
  std::unique_ptr<Embedder> embedder;  // of that service
  std::optional<ChatTemplate> chat_template;
  std::string template_problem;                     // why there is none
  std::optional<tools::ToolFormat> tool_format;     // where there is a template
  bool reasons = false;                             // its template knows of reasoning
  double created = 0;                               // of the file, seconds since 1970
  uint64_t memory_bytes = 0;                        // weights, scratch, and the most that the KV cache may take
  std::atomic<double> last_used{0}, keep_alive{0};  // monotonic seconds; keep_alive may be infinite

  [[nodiscard]] const Engine& engine() const { return service->engine(); }
};

struct ModelListing {
  std::string name, path;
  uint64_t bytes = 0;
  double modified = 0;  // seconds since 1970
  bool configured = false;
};

class ModelStore {
 public:
  ModelStore(const ServerConfig& config, Metrics& metrics);
  ~ModelStore();
  ModelStore(const ModelStore&) = delete;
  ModelStore& operator=(const ModelStore&) = delete;

  // Resolves the configured models; loads those that are not on demand. The first problem is the error.
  Status start();

  // Calls `ready` with the model: at once where it is loaded, else when it is, on the store's thread. As long as the
  // pointer lives, the model stays. `keep_alive` in seconds replaces the model's own; 0 unloads it after this use.
  // kNotFound says which names there are; kResource when the memory does not suffice.
  using Ready = std::function<void(Result<std::shared_ptr<Model>>)>;
  void acquire(std::string name, std::optional<double> keep_alive, Ready ready);

  // Configured models, then the others of the cache folder.
  [[nodiscard]] std::vector<ModelListing> list() const;
  [[nodiscard]] std::vector<std::shared_ptr<Model>> loaded() const;
  // The listing of one name, as acquire() understands it.
  [[nodiscard]] Result<ModelListing> find(std::string_view name) const;
  // Unloads it as soon as nobody uses it.
  void unload(const std::string& name);

  // Loads nothing more; who waits is told so.
  void stop();

  // Why a request may fail for now, empty when all is well: for /health.
  [[nodiscard]] std::string trouble() const;
  // Whether every model that is to be loaded at the start is.
  [[nodiscard]] bool ready() const { return ready_.load(); }

 private:
  struct Wanted {
    ModelListing listing;
    std::vector<Ready> waiting;
  };

  void run();
  void load_next(std::unique_lock<std::mutex>& lock);
  Result<std::shared_ptr<Model>> load(const ModelListing& listing);
  Status make_room(uint64_t bytes);
  void unload_idle(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] const ModelConfig* configured(std::string_view name) const;
  std::shared_ptr<Model> lease(const std::shared_ptr<Model>& model, std::optional<double> keep_alive);

  const ServerConfig& config_;
  Metrics& metrics_;
  std::atomic<bool> ready_{false};
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, std::shared_ptr<Model>> models_;  // by path: several names may mean one file
  std::deque<Wanted> wanted_;
  std::string trouble_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace quern::server
