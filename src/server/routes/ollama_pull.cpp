// POST /api/pull: a model into the cache folder, as Ollama has it. Clients may name what `allow_pull` lets them: never
// a path, and an address only where the server's owner said so.
#include "base/clock.h"
#include "hub/cache.h"
#include "hub/catalogue.h"
#include "server/app.h"
#include "server/call.h"
#include "server/ollama/listing.h"
#include "server/ollama/values.h"

namespace quern::server {

namespace {

using namespace ollama;

struct PullBody {
  std::string model, name;
  bool stream = true;

  void fields(FieldVisitor& v) {
    v.member({"model", "A name of the catalogue, or hf:OWNER/REPO[:FILE] (also hf.co/OWNER/REPO)"}, model);
    v.member({"name", "The same, as older clients call it"}, name);
    v.member({"stream", "Lines as the file comes, else one object"}, stream);
    v.ignore("insecure", "certificates are always checked");
    v.refuse("username", "the hub's token is the server's own", {"\"\""});
    v.refuse("password", "the hub's token is the server's own", {"\"\""});
  }
};

std::optional<std::string> not_allowed(const Call& call, const std::string& source) {
  const AllowPull allow = call.app.config.allow_pull;
  if (!call.principal->may_use(source)) return fmt::format("this API key may not use the model '{}'", source);
  if (hub::is_url(source) && allow != AllowPull::kAny) {
    return fmt::format("'{}': this server fetches from no address (its option allow_pull)", source);
  }
  if (hub::find_model(source) == nullptr && allow == AllowPull::kCatalogue) {
    return fmt::format("'{}': this server fetches models of its catalogue only (its option allow_pull)", source);
  }
  return std::nullopt;
}

// One client's view of a pull. Used by the pull's thread alone.
class PullReply {
 public:
  PullReply(std::shared_ptr<Call> call, bool stream) : call_(std::move(call)), stream_(stream) {}

  void on_step(const PullStep& step) {
    if (!stream_) return;
    begin();
    // Who reads slower than a file comes misses some of its figures.
    if (call_->exchange->backlog() > kMostBacklog && step.done < step.total) return;
    if (!step.note.empty()) return call_->line(dump({{"status", step.note}}));
    Json line = {{"status", fmt::format("pulling {}", step.sha256.empty() ? step.file : step.sha256.substr(0, 12))}};
    if (!step.sha256.empty()) line["digest"] = "sha256:" + step.sha256;
    if (step.total != 0) line["total"] = step.total;
    line["completed"] = step.done;
    call_->line(dump(line));
  }

  void on_end(const Result<hub::Pulled>& result) {
    if (!result) {
      call_->fail(result.error());
    } else if (!stream_) {
      call_->respond({{"status", "success"}});
    } else {
      begin();
      end_stream(*result);
    }
    call_.reset();
  }

 private:
  static constexpr size_t kMostBacklog = 64 << 10;

  void begin() {
    if (call_->streaming()) return;
    call_->begin_lines();
    call_->line(R"({"status":"pulling manifest"})");
  }

  void end_stream(const hub::Pulled& pulled) {
    Json line = {{"status", fmt::format("pulling {}", pulled.sha256.substr(0, 12))}};
    if (!pulled.sha256.empty()) line["digest"] = "sha256:" + pulled.sha256;
    line["total"] = pulled.bytes;
    line["completed"] = pulled.bytes;
    call_->line(dump(line));
    if (pulled.checked) call_->line(R"({"status":"verifying sha256 digest"})");
    call_->line(R"({"status":"success"})");
    call_->end();
  }

  std::shared_ptr<Call> call_;
  const bool stream_;
};

// A model that is not the hub's to renew: a configured one, or a file that somebody put into the cache folder.
std::optional<ModelListing> own_model(const Call& call, const std::string& source) {
  auto listing = call.app.models.find(source);
  const bool of_hub = source.starts_with("hf:") || hub::is_url(source) || hub::find_model(source) != nullptr;
  if (!listing || (of_hub && !listing->configured)) return std::nullopt;
  return std::move(*listing);
}

void pull(const std::shared_ptr<Call>& call) {
  PullBody body;
  if (!call->read(body, Unknown::kIgnore)) return;
  const std::string source = hub_name(body.model.empty() ? body.name : body.model);
  if (source.empty()) return call->refuse({"model", "'model' is missing"});
  if (const auto why = not_allowed(*call, source)) {
    return call->fail(403, "permission_error", *why, "model", "pull_not_allowed");
  }
  call->record.model = source;
  const auto reply = std::make_shared<PullReply>(call, body.stream);
  if (const auto listing = own_model(*call, source)) {
    hub::Pulled here{.name = source, .path = {}, .bytes = listing->bytes, .sha256 = {}, .was_present = true};
    if (const auto options = hub::hub_options_from_environment()) {
      here.sha256 = hub::known_sha256(listing->path, *options);
    }
    return reply->on_end(here);
  }
  const auto id =
      call->app.pulls.watch(source, {.on_step = [reply](const PullStep& step) { reply->on_step(step); },
                                     .on_end = [reply](const Result<hub::Pulled>& result) { reply->on_end(result); }});
  if (!id) return call->fail(id.error());
  call->exchange->on_gone([&app = call->app, id = *id] { app.pulls.leave(id); });
}

Json status_schema() {
  return Json::parse(R"({"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}})");
}

}  // namespace

Route ollama_pull_route() {
  return {.method = "POST",
          .path = "/api/pull",
          .summary = "Fetch a model (Ollama)",
          .handle = pull,
          .style = ApiStyle::kOllama,
          .body = body_schema<PullBody>,
          .response = status_schema,
          .streams = "application/x-ndjson",
          .answers = {{403, "The server does not fetch that"}, {404, "There is no such model to fetch"}}};
}

}  // namespace quern::server
