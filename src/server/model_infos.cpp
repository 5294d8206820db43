#include "server/model_infos.h"

#include <cmath>

#include "engine/model_summary.h"
#include "hub/cache.h"
#include "hub/sha256.h"

namespace quern::server {

ModelInfos::~ModelInfos() {
  stopping_ = true;
  {
    const std::lock_guard lock(mutex_);  // run() is before its wait or in it
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

ModelInfos::Entry& ModelInfos::entry(const ModelListing& model) {
  Entry& e = entries_[model.path];
  // Times are seconds by two clocks' difference: the same time is not always the same number.
  if (e.bytes != model.bytes || std::abs(e.modified - model.modified) > 0.5) {
    e = {.bytes = model.bytes, .modified = model.modified, .info = {}, .digest = {}};
  }
  return e;
}

ModelInfo ModelInfos::info(const ModelListing& model) {
  {
    const std::lock_guard lock(mutex_);
    if (const Entry& e = entry(model); e.info) return *e.info;
  }
  ModelInfo info;
  if (auto summary = summarize_model(model.path)) {
    info = {.architecture = std::move(summary->architecture),
            .weight_type = std::move(summary->weight_type),
            .parameters = summary->parameters};
  }
  const std::lock_guard lock(mutex_);
  entry(model).info = info;
  return info;
}

std::string ModelInfos::digest(const ModelListing& model) {
  const std::lock_guard lock(mutex_);
  Entry& e = entry(model);
  if (!e.digest.empty()) return e.digest;
  if (const auto options = hub::hub_options_from_environment()) e.digest = hub::known_sha256(model.path, *options);
  if (!e.digest.empty()) return e.digest;
  e.digest = kNoDigest;
  to_hash_.push_back(model);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  wake_.notify_all();
  return e.digest;
}

void ModelInfos::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !to_hash_.empty(); });
    if (stopping_) return;
    const ModelListing model = std::move(to_hash_.front());
    to_hash_.pop_front();
    lock.unlock();
    const auto hash = hub::sha256_of_file(model.path, [this](uint64_t) { return !stopping_.load(); });
    lock.lock();
    // A file that cannot be read keeps the zeros, until it has changed.
    if (hash) entry(model).digest = *hash;
  }
}

}  // namespace quern::server
