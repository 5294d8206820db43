// One file over HTTP into its place: resumed where it was cut, retried, checked, and there whole or not at all.
//
// While it comes it lies beside its place as FILE.part, with the server's ETag in FILE.part.etag; a later download of
// the same file resumes it if the server still has that version. A finished file has its SHA-256 in FILE.sha256.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "hub/options.h"

namespace quern::hub {

struct DownloadRequest {
  std::string url;
  std::string path;               // its folder must exist
  std::string label;              // for progress and messages
  std::string token;              // sent to the URL's host only
  std::optional<uint64_t> bytes;  // as listed; the download must agree
  std::string sha256;             // as listed, lower case; empty: X-Linked-Etag is taken where the server sends it
  std::string help_on_refusal;    // what to do about 401, 403 and 404
};

struct Downloaded {
  uint64_t bytes = 0;
  std::string sha256;    // of what was written
  bool checked = false;  // against a hash that the server or the listing gave
};

// kIo: the network failed `retries` times in a row; kCorrupt: size, hash or kind of file is wrong, and what came was
// removed; kResource: the disk is too small; kNotFound and kUnsupported: refused by the server; kCancelled. What came
// is kept for the next attempt except after kCorrupt.
Result<Downloaded> download_file(const DownloadRequest& request, const HubOptions& options, const PullMonitor& monitor);

}  // namespace quern::hub
