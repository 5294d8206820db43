// What the hub's server sends first: header lines and listings, and the names that users type.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hub/http.h"
#include "hub/repo.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quern::hub;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  HttpResponse response;
  for (size_t at = 0; at < size;) {
    const size_t end = std::min(text.find('\n', at), size - 1) + 1;
    read_header_line(text.substr(at, end - at), response);
    at = end;
  }
  if (const auto files = parse_listing(text)) {
    const auto models = models_in(*files);
    for (const RepoFile& file : *files) {
      if (!is_safe_path(file.path)) std::abort();
    }
    (void)choose_model(models, "", "owner/repo");
    (void)choose_model(models, text.substr(0, 16), "owner/repo");
  }
  (void)parse_repo_source(text);
  if (const auto split = parse_split_name(text)) {
    if (split_name(split->stem, split->index, split->count) != text) std::abort();
  }
  if (url_unescape(url_escape_path(text)) != text) std::abort();
  return 0;
}
