#include "server/openai/choice_stream.h"

#include <fmt/format.h>

#include <iterator>

#include "server/openai/answer.h"
#include "server/openai/json_text.h"
#include "server/tools/reply_json.h"

namespace quern::server {

ChoiceStream::ChoiceStream(std::shared_ptr<Call> call, std::shared_ptr<Model> model, StreamShape shape)
    : call_(std::move(call)),
      model_(std::move(model)),
      shape_(std::move(shape)),
      open_(shape_.head + (shape_.include_usage ? R"(,"usage":null)" : "") + R"(,"choices":[{"index":)"),
      logprobs_(shape_.n_prompts * shape_.n) {
  for (size_t choice = 0; shape_.parser && choice < logprobs_.size(); ++choice) {
    parsers_.push_back(shape_.parser(choice));
  }
}

void ChoiceStream::begin() {
  if (begun_) return;
  begun_ = true;
  call_->begin_events();
  for (size_t choice = 0; choice < logprobs_.size(); ++choice) {
    if (shape_.chat) {
      call_->event(fmt::format(
          R"({}{},"delta":{{"role":"assistant","content":{},"refusal":null}},"logprobs":null,"finish_reason":null}}]}})",
          open_, choice, parsers_.empty() ? R"("")" : "null"));
    } else if (!shape_.echoes.empty()) {
      send(choice, shape_.echoes[choice / shape_.n], "null");
    }
  }
}

void ChoiceStream::send(size_t choice, std::string_view text, std::string_view logprobs) {
  std::string member;
  member.reserve(text.size() + 16);
  member += shape_.chat ? R"("content":)" : R"("text":)";
  append_json_string(member, text);
  send_member(choice, member, logprobs);
}

void ChoiceStream::send_member(size_t choice, std::string_view member, std::string_view logprobs) {
  std::string event;
  event.reserve(open_.size() + member.size() + logprobs.size() + 96);
  event += open_;
  fmt::format_to(std::back_inserter(event), "{}", choice);
  event += shape_.chat ? R"(,"delta":{)" : ",";
  event += member;
  event += shape_.chat ? R"(},"logprobs":)" : R"(,"logprobs":)";
  event += logprobs;
  event += R"(,"finish_reason":null}]})";
  call_->event(event);
}

// Log-probabilities go with the first event, or with one of their own: they are of tokens, not of what is told of them.
void ChoiceStream::send_deltas(size_t choice, const std::vector<tools::Delta>& deltas, std::string_view logprobs) {
  for (const tools::Delta& delta : deltas) {
    std::string member;
    if (!append_openai_delta(member, delta)) continue;
    send_member(choice, member, logprobs);
    logprobs = "null";
  }
  if (logprobs != "null") send_member(choice, "", logprobs);
}

void ChoiceStream::token(size_t prompt, const TokenEvent& e) {
  begin();
  const bool with_logprobs = shape_.logprobs >= 0 && !e.end;
  if (e.text.empty() && !with_logprobs) return;
  const size_t choice = prompt * shape_.n + e.sample;
  const auto tell = [&](std::string_view logprobs) {
    if (parsers_.empty()) return send(choice, e.text, logprobs);
    send_deltas(choice, parsers_[choice]->feed(e.text), logprobs);
  };
  if (!with_logprobs) return tell("null");
  const Engine& engine = model_->engine();
  const auto n_top = static_cast<size_t>(shape_.logprobs);
  if (shape_.chat) {
    std::string logprobs = R"({"content":[)";
    append_chat_logprob(logprobs, engine, e.id, e.logprob, e.top, n_top);
    logprobs += R"(],"refusal":null})";
    return tell(logprobs);
  }
  logprobs_[choice].add(engine, engine.piece(e.id), e.logprob, e.top, n_top);
  send(choice, e.text, logprobs_[choice].take());
}

// What was held back is sent at once.
std::string ChoiceStream::end_of(size_t choice, StopReason reason) {
  ParsedReply reply;
  if (!parsers_.empty()) {
    std::vector<tools::Delta> rest;
    reply = parsers_[choice]->finish(&rest);
    send_deltas(choice, rest, "null");
  }
  std::string event =
      fmt::format(R"({}{},{},"logprobs":null,"finish_reason":"{}")", open_, choice,
                  shape_.chat ? R"("delta":{})" : R"("text":"")", finish_reason(reason, !reply.calls.empty()));
  append_call_problems(event, reply.problems);
  return event += "}]}";
}

void ChoiceStream::end(const std::vector<Generation>& generations, std::string_view usage, std::string_view figures) {
  begin();
  for (size_t prompt = 0; prompt < generations.size(); ++prompt) {
    for (unsigned i = 0; i < shape_.n; ++i) {
      const size_t choice = prompt * shape_.n + i;
      call_->event(end_of(choice, generations[prompt].completions[i].reason));
    }
  }
  if (shape_.include_usage) {
    call_->event(fmt::format(R"({},"choices":[],"usage":{},"quern":{}}})", shape_.head, usage, figures));
  }
  call_->event("[DONE]");
  call_->end();
}

}  // namespace quern::server
