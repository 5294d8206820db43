#include "server/models.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "base/clock.h"
#include "hub/cache.h"
#include "os/memory.h"

namespace quern::server {

namespace {

// Of what is free now, where the configuration says "auto": the rest is for the system and for other programs.
constexpr double kKvShare = 0.25, kMemoryShare = 0.9;
// Beside weights and KV cache: scratch, logits, tokenizer, the program.
constexpr uint64_t kOverheadBytes = uint64_t{64} << 20;
constexpr uint64_t kPrefixBytes = uint64_t{1} << 30;
constexpr double kLookAgainS = 1.0;

uint64_t available_memory() {
  return read_memory().available.value_or(uint64_t{8} << 30);
}

uint64_t kv_limit(const ByteLimit& limit) {
  if (limit.kind == ByteLimit::Kind::kBytes) return limit.bytes;
  if (limit.kind == ByteLimit::Kind::kNone) return 0;
  return static_cast<uint64_t>(static_cast<double>(available_memory()) * kKvShare);
}

// Kept prefixes fill whatever they may, so "auto" is modest.
uint64_t prefix_limit(const ByteLimit& limit, uint64_t kv_bytes) {
  if (limit.kind == ByteLimit::Kind::kNone) return 1;  // less than a page
  if (limit.kind == ByteLimit::Kind::kBytes) return limit.bytes;
  return kv_bytes == 0 ? kPrefixBytes : std::min(kv_bytes / 2, kPrefixBytes);
}

double modified_s(const std::string& path) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(path, error);
  if (error) return 0;
  const auto age = std::filesystem::file_time_type::clock::now() - time;
  return wall_clock_s() - std::chrono::duration<double>(age).count();
}

uint64_t size_of(const std::string& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<uint64_t>(bytes);
}

EngineOptions engine_options(const std::string& path, const ModelSettings& s) {
  EngineOptions o;
  o.model_path = path;
  o.n_ctx = s.n_ctx;
  o.n_batch = s.n_batch;
  o.n_threads = s.n_threads;
  o.n_threads_batch = s.n_threads_batch;
  o.n_parallel = s.n_parallel;
  o.kv_bytes = kv_limit(s.kv_memory);
  return o;
}

// What clients call a configured model: not the folder it lies in.
std::string public_name(const ModelConfig& m) {
  if (!m.name.empty()) return m.name;
  const std::filesystem::path path(m.model);
  return path.extension() == ".gguf" && !m.model.starts_with("hf:") ? path.stem().string() : m.model;
}

// Ollama's clients write the tag that they mean by none.
std::string_view without_latest(std::string_view name) {
  constexpr std::string_view kLatest = ":latest";
  if (name.ends_with(kLatest)) name.remove_suffix(kLatest.size());
  return name;
}

}  // namespace

ModelStore::ModelStore(const ServerConfig& config, Metrics& metrics) : config_(config), metrics_(metrics) {
  thread_ = std::thread([this] { run(); });
}

ModelStore::~ModelStore() {
  stop();
  thread_.join();
}

void ModelStore::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

const ModelConfig* ModelStore::configured(std::string_view name) const {
  if (config_.models.empty()) return nullptr;
  if (name.empty() || name == "default") return &config_.models.front();
  for (const ModelConfig& m : config_.models) {
    if (name == public_name(m)) return &m;
  }
  return nullptr;
}

Result<ModelListing> ModelStore::find(std::string_view asked) const {
  const ModelConfig* own = configured(asked);
  const std::string_view name = own == nullptr ? without_latest(asked) : asked;
  if (own == nullptr) own = configured(name);
  QUERN_TRY(const hub::HubOptions hub, hub::hub_options_from_environment());
  if (own != nullptr) {
    QUERN_TRY(const std::string path, hub::resolve_model(own->model, hub));
    return ModelListing{.name = public_name(*own),
                        .path = path,
                        .bytes = size_of(path),
                        .modified = modified_s(path),
                        .configured = true};
  }
  auto cached = hub::find_cached(name, hub);
  if (!cached) {
    std::string known;
    for (const ModelConfig& m : config_.models) known += (known.empty() ? "" : ", ") + public_name(m);
    return fail_f(ErrorCode::kNotFound, "model '{}' not found; this server has {}{}", asked,
                  known.empty() ? "none by name" : known, ", and what `quern list` shows");
  }
  return ModelListing{.name = std::move(cached->name),
                      .path = cached->path,
                      .bytes = cached->bytes,
                      .modified = modified_s(cached->path),
                      .configured = false};
}

std::vector<ModelListing> ModelStore::list() const {
  std::vector<ModelListing> all;
  for (const ModelConfig& m : config_.models) {
    if (auto found = find(public_name(m))) all.push_back(std::move(*found));
  }
  const auto hub = hub::hub_options_from_environment();
  if (!hub) return all;
  const auto cached = hub::cached_models(*hub);
  if (!cached) return all;
  for (const hub::CachedModel& m : *cached) {
    const bool known = std::any_of(all.begin(), all.end(), [&](const ModelListing& l) { return l.path == m.path; });
    if (known) continue;
    all.push_back(
        {.name = m.name, .path = m.path, .bytes = m.bytes, .modified = modified_s(m.path), .configured = false});
  }
  return all;
}

// A pointer of its own for each use, so that the last one to end says when that was.
std::shared_ptr<Model> ModelStore::lease(const std::shared_ptr<Model>& model, std::optional<double> keep_alive) {
  if (keep_alive) model->keep_alive.store(*keep_alive);
  return {model.get(), [model](Model* m) { m->last_used.store(now_s()); }};
}

void ModelStore::acquire(std::string name, std::optional<double> keep_alive, Ready ready) {
  auto listing = find(name);
  if (!listing) return ready(tl::unexpected<Error>(listing.error()));
  std::shared_ptr<Model> model;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return ready(fail(ErrorCode::kCancelled, "the server stops"));
    if (const auto at = models_.find(listing->path); at != models_.end()) {
      model = lease(at->second, keep_alive);
    } else {
      auto wanted = std::find_if(wanted_.begin(), wanted_.end(),
                                 [&](const Wanted& w) { return w.listing.path == listing->path; });
      if (wanted == wanted_.end()) wanted = wanted_.insert(wanted_.end(), Wanted{std::move(*listing), {}});
      wanted->waiting.push_back([this, keep_alive, ready](Result<std::shared_ptr<Model>> loaded) {
        ready(loaded ? Result<std::shared_ptr<Model>>(lease(*loaded, keep_alive)) : std::move(loaded));
      });
    }
  }
  if (model) return ready(std::move(model));
  wake_.notify_all();
}

Status ModelStore::start() {
  for (const ModelConfig& m : config_.models) {
    const std::string name = public_name(m);
    QUERN_CHECK_OK(find(name));
    if (m.settings.load == LoadPolicy::kOnDemand) continue;
    std::mutex mutex;
    std::condition_variable done;
    std::optional<Status> result;
    acquire(name, std::nullopt, [&](Result<std::shared_ptr<Model>> model) {
      const std::lock_guard lock(mutex);
      result = model ? Status() : tl::unexpected<Error>(model.error());
      done.notify_one();
    });
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return result.has_value(); });
    QUERN_CHECK_OK(*result);
  }
  ready_ = true;
  return {};
}

void ModelStore::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!wanted_.empty()) {
      load_next(lock);
      continue;
    }
    unload_idle(lock);
    wake_.wait_for(lock, std::chrono::duration<double>(kLookAgainS), [this] { return stopping_ || !wanted_.empty(); });
  }
  const Error over{ErrorCode::kCancelled, "the server stops"};
  std::deque<Wanted> left = std::exchange(wanted_, {});
  auto models = std::exchange(models_, {});
  lock.unlock();
  for (const Wanted& w : left) {
    for (const Ready& ready : w.waiting) ready(tl::unexpected<Error>(over));
  }
  // Requests hold their models: they end first, so that no service is destroyed by its own thread.
  for (const auto& [path, model] : models) {
    model->embedder.reset();
    model->service->stop();
  }
}

// The entry stays in wanted_ while it loads, so that further requests join it.
void ModelStore::load_next(std::unique_lock<std::mutex>& lock) {
  const ModelListing listing = wanted_.front().listing;
  lock.unlock();
  auto loaded = load(listing);
  lock.lock();
  const std::vector<Ready> waiting = std::move(wanted_.front().waiting);
  wanted_.pop_front();
  trouble_ = loaded ? "" : fmt::format("{}: {}", listing.name, loaded.error().message);
  if (loaded) models_.emplace(listing.path, *loaded);
  lock.unlock();
  for (const Ready& ready : waiting) ready(loaded);
  lock.lock();
}

Result<std::shared_ptr<Model>> ModelStore::load(const ModelListing& listing) {
  auto model = std::make_shared<Model>();
  model->name = listing.name;
  model->path = listing.path;
  const ModelConfig* own = configured(listing.name);
  model->settings = own != nullptr ? own->settings : config_.defaults;
  const ModelSettings& s = model->settings;
  const uint64_t weights = listing.bytes + listing.bytes / 20 + kOverheadBytes;
  QUERN_CHECK_OK(make_room(weights));
  model->metrics = metrics_.model(model->name);
  const double start = now_s();
  ServiceOptions options;
  options.engine = engine_options(model->path, s);
  options.max_itl_ms = s.max_itl_ms;
  options.ageing_s = s.ageing.seconds;
  options.max_waiting = s.max_waiting;
  options.prefix_cache_bytes = prefix_limit(s.prefix_cache, options.engine.kv_bytes);
  options.kv_dir = config_.kv_dir;
  options.kv_dir_bytes = config_.kv_dir_limit.bytes;
  QUERN_TRY(model->service, Service::create(options, model->metrics));
  model->embedder = std::make_unique<Embedder>(*model->service, model->metrics, config_.embed_max_wait_ms / 1000);
  const EngineInfo& info = model->engine().info();
  const ServiceState state = model->service->state();
  model->memory_bytes = info.weight_bytes + info.scratch_bytes + state.pages * state.page_bytes;
  if (model->engine().chat_template().empty()) {
    model->template_problem = fmt::format("{} has no chat template: use the completions instead", model->name);
  } else if (auto parsed = ChatTemplate::parse(model->engine().chat_template())) {
    const std::string_view source = model->engine().chat_template();
    model->chat_template = std::move(*parsed);
    model->tool_format = tools::ToolFormat::of(source, *model->chat_template);
    const tools::ReasoningMarks& marks = model->tool_format->reasoning();
    model->reasons =
        &marks != &tools::default_reasoning() || tools::has(source, marks.open) || tools::has(source, marks.close);
  } else {
    model->template_problem = fmt::format("the chat template of {} is wrong: {}", model->name, parsed.error().message);
  }
  model->created = listing.modified;
  model->keep_alive = s.keep_alive.seconds;
  model->last_used = now_s();
  model->metrics->loaded(now_s() - start);
  return model;
}

// Unloads models that nobody uses, the one used longest ago first, until a new one fits.
Status ModelStore::make_room(uint64_t bytes) {
  std::unique_lock lock(mutex_);
  for (;;) {
    uint64_t used = 0;
    for (const auto& [path, m] : models_) used += m->memory_bytes;
    uint64_t limit = UINT64_MAX;
    if (config_.memory_limit.kind == ByteLimit::Kind::kBytes) limit = config_.memory_limit.bytes;
    if (config_.memory_limit.kind == ByteLimit::Kind::kAuto) {
      limit = used + static_cast<uint64_t>(static_cast<double>(available_memory()) * kMemoryShare);
    }
    if (used + bytes <= limit) return {};
    auto oldest = models_.end();
    for (auto at = models_.begin(); at != models_.end(); ++at) {
      if (at->second.use_count() > 1) continue;
      if (oldest == models_.end() || at->second->last_used < oldest->second->last_used) oldest = at;
    }
    if (oldest == models_.end()) {
      return fail_f(ErrorCode::kResource,
                    "the model needs {:.1f} GB, {:.1f} of {:.1f} GB are taken by models in use; raise memory_limit or "
                    "lower kv_memory",
                    static_cast<double>(bytes) / 1e9, static_cast<double>(used) / 1e9,
                    static_cast<double>(limit) / 1e9);
    }
    const std::shared_ptr<Model> gone = std::move(oldest->second);
    models_.erase(oldest);
    lock.unlock();
    gone->metrics->unloaded();
    lock.lock();
  }
}

void ModelStore::unload_idle(std::unique_lock<std::mutex>& lock) {
  std::vector<std::shared_ptr<Model>> gone;
  for (auto at = models_.begin(); at != models_.end();) {
    const std::shared_ptr<Model>& m = at->second;
    const bool idle = m.use_count() == 1 && m->service->idle() && now_s() - m->last_used >= m->keep_alive;
    if (!idle) {
      ++at;
      continue;
    }
    gone.push_back(std::move(at->second));
    at = models_.erase(at);
  }
  if (gone.empty()) return;
  lock.unlock();
  for (const auto& m : gone) m->metrics->unloaded();
  gone.clear();  // joins their threads
  lock.lock();
}

std::vector<std::shared_ptr<Model>> ModelStore::loaded() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Model>> all;
  for (const auto& [path, m] : models_) all.push_back(m);
  return all;
}

void ModelStore::unload(const std::string& name) {
  const auto listing = find(name);
  if (!listing) return;
  const std::lock_guard lock(mutex_);
  if (const auto at = models_.find(listing->path); at != models_.end()) at->second->keep_alive = 0;
  wake_.notify_all();
}

std::string ModelStore::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

}  // namespace quern::server
