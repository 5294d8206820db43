// ModelInfos: what lists show of models beside their names: architecture, size, SHA-256. Each file's header is read
// once, and again when the file has changed; no model is loaded.
//
// Owned by the App. Any thread may call; info() and digest() read a small part of a file at most. Hashes that no
// download has left behind are computed on a thread of its own, one at a time, from the first time they are asked for.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"
#include "server/models.h"

namespace quern::server {

struct ModelInfo {
  std::string architecture;
  std::string weight_type;  // the format of most of the weights
  uint64_t parameters = 0;
};

// What digest() says of a hash that is being computed: 64 zeros, since clients cut the text without looking.
inline constexpr std::string_view kNoDigest = "0000000000000000000000000000000000000000000000000000000000000000";

class ModelInfos {
 public:
  ModelInfos() = default;
  ~ModelInfos();  // gives a hash up that is being computed
  ModelInfos(const ModelInfos&) = delete;
  ModelInfos& operator=(const ModelInfos&) = delete;

  // Empty where the file cannot be read: what is wrong shows when the model is used.
  ModelInfo info(const ModelListing& model);
  // 64 lower-case hexadecimal digits, of the first part of a split model.
  std::string digest(const ModelListing& model);

 private:
  struct Entry {
    uint64_t bytes = 0;
    double modified = 0;
    std::optional<ModelInfo> info;
    std::string digest;  // kNoDigest while it is computed
  };
  Entry& entry(const ModelListing& model);  // with the lock
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, Entry> entries_;  // by path
  std::deque<ModelListing> to_hash_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;  // from the first hash on
};

}  // namespace quern::server
