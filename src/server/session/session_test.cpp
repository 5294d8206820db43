#include "server/session/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "server/session/message.h"
#include "server/session/session_store.h"

namespace quern::server {
namespace {

using ::testing::ElementsAre;

struct FakeClock {
  std::shared_ptr<double> now = std::make_shared<double>(1000);
  operator Clock() const {
    return [now = now] { return *now; };
  }
};

// A client with a connection that takes what it is told to take.
class FakeFollower final : public Follower {
 public:
  explicit FakeFollower(size_t most_backlog = SIZE_MAX) : most_backlog_(most_backlog) {}

  void attached(const Attached& w) override { where = w; }
  void send(uint64_t seq, const std::string& event) override {
    wire_bytes_ += event.size();
    wire.emplace_back(seq, event);
  }
  bool idle() override {
    ++idles;
    return stays;
  }
  void replaced() override { was_replaced = true; }
  void closed() override { was_closed = true; }
  [[nodiscard]] size_t backlog() const override { return wire_bytes_ > most_backlog_ ? size_t{1} << 30 : 0; }
  void on_drained(size_t, std::function<void()> f) override { drained_ = std::move(f); }

  // The network carries `count` events to the client, and the connection says so.
  std::vector<std::pair<uint64_t, std::string>> take(size_t count) {
    count = std::min(count, wire.size());
    std::vector<std::pair<uint64_t, std::string>> got(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(count));
    wire.erase(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(count));
    for (const auto& [seq, event] : got) wire_bytes_ -= event.size();
    if (backlog() == 0 && drained_) std::exchange(drained_, {})();
    return got;
  }

  std::vector<std::pair<uint64_t, std::string>> wire;  // sent, not yet with the client
  std::optional<Attached> where;
  int idles = 0;
  bool stays = true, was_replaced = false, was_closed = false;

 private:
  const size_t most_backlog_;
  size_t wire_bytes_ = 0;
  std::function<void()> drained_;
};

class FakeTurn final : public TurnControl {
 public:
  void cancel() override { cancelled = true; }
  void pause(bool p) override { paused = p; }
  bool cancelled = false, paused = false;
};

std::vector<uint64_t> numbers(const std::vector<std::pair<uint64_t, std::string>>& events) {
  std::vector<uint64_t> all;
  for (const auto& [seq, event] : events) all.push_back(seq);
  return all;
}

class SessionTest : public ::testing::Test {
 protected:
  std::shared_ptr<Session> make(ReplayLimits limits = {.events = 4, .bytes = 1 << 20}) {
    return std::make_shared<Session>("strm_1", "tenant", limits, totals, clock);
  }
  uint64_t begin(Session& s) {
    turn = std::make_shared<FakeTurn>();
    const auto begun = s.begin_turn();
    EXPECT_TRUE(begun);
    EXPECT_TRUE(s.run_turn(begun->number, turn));
    return begun->number;
  }
  FakeClock clock;
  std::shared_ptr<SessionTotals> totals = std::make_shared<SessionTotals>();
  std::shared_ptr<FakeTurn> turn;
};

TEST(ReplayLog, KeepsTheLastDeliveredAndAllThatWait) {
  ReplayLog log({.events = 3, .bytes = 1 << 20});
  EXPECT_EQ(log.first(), 1u);
  EXPECT_EQ(log.last(), 0u);
  for (int i = 0; i < 5; ++i) log.append(std::to_string(i + 1));
  EXPECT_TRUE(log.full());
  EXPECT_EQ(log.first(), 1u);
  log.deliver(5);
  EXPECT_FALSE(log.full());
  EXPECT_EQ(log.first(), 3u);
  EXPECT_EQ(log.at(4), "4");
  log.acknowledge(4);
  EXPECT_EQ(log.first(), 5u);
  log.append("6");
  log.acknowledge(6);  // was not delivered: cannot be acknowledged
  EXPECT_EQ(log.first(), 6u);
  EXPECT_EQ(log.at(6), "6");
  log.deliver(99);
  EXPECT_EQ(log.delivered(), 6u);
  log.acknowledge(6);
  EXPECT_EQ(log.bytes(), 0u);
  EXPECT_EQ(log.first(), log.last() + 1);
}

TEST(ReplayLog, IsBoundedByBytesToo) {
  ReplayLog log({.events = 1000, .bytes = 10'000});
  while (!log.full()) log.append(std::string(1000, 'x'));
  EXPECT_LT(log.last(), 11u);
  log.deliver(log.last());
  EXPECT_LE(log.bytes(), 10'000u);
  EXPECT_FALSE(log.full());
}

TEST(ReplayLog, WaitsForAcknowledgements) {
  ReplayLog log({.events = 3, .bytes = 1 << 20});
  log.wait_for_acknowledgements(true);
  for (int i = 0; i < 3; ++i) log.append("x");
  log.deliver(3);
  EXPECT_EQ(log.first(), 1u);
  EXPECT_TRUE(log.full());
  log.acknowledge(1);
  EXPECT_FALSE(log.full());
}

TEST_F(SessionTest, NumbersEventsOverTurns) {
  const auto s = make();
  const auto follower = std::make_shared<FakeFollower>();
  ASSERT_TRUE(s->attach(follower, 0));
  for (int i = 0; i < 2; ++i) {
    const uint64_t n = begin(*s);
    EXPECT_FALSE(s->settled());
    EXPECT_TRUE(s->append(n, "token", R"(,"text":"a")"));
    s->end_turn(n, "end", "", nullptr);
    EXPECT_TRUE(s->settled());
    EXPECT_FALSE(s->append(n, "token", ""));
  }
  EXPECT_THAT(numbers(follower->wire), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(follower->wire[0].second, R"({"type":"token","session":"strm_1","seq":1,"text":"a"})");
  EXPECT_EQ(follower->wire[3].second, R"({"type":"end","session":"strm_1","seq":4})");
}

TEST_F(SessionTest, PausesAheadOfTheWindowAndGoesOnWhenSomebodyComes) {
  const auto s = make();
  const uint64_t n = begin(*s);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(s->append(n, "token", ""));
  EXPECT_TRUE(turn->paused);
  s->append(n, "token", "");  // one more was on its way
  const auto follower = std::make_shared<FakeFollower>();
  ASSERT_TRUE(s->attach(follower, 0));
  EXPECT_FALSE(turn->paused);
  EXPECT_THAT(numbers(follower->wire), ElementsAre(1, 2, 3, 4, 5));
  const auto lost = s->attach(std::make_shared<FakeFollower>(), 0);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, "replay_lost");
  EXPECT_EQ(lost.error().first, 2u);
  EXPECT_FALSE(follower->was_replaced);  // the wish failed
  EXPECT_EQ(s->attach(std::make_shared<FakeFollower>(), 1).value_or(0), 4u);
  EXPECT_TRUE(follower->was_replaced);
  EXPECT_EQ(s->attach(std::make_shared<FakeFollower>(), 6).error().code, "invalid_value");
}

TEST_F(SessionTest, ComingBackAcknowledges) {
  const auto s = make();
  s->wait_for_acknowledgements(true);
  const uint64_t n = begin(*s);
  const auto follower = std::make_shared<FakeFollower>();
  ASSERT_TRUE(s->attach(follower, 0));
  for (int i = 0; i < 4; ++i) s->append(n, "token", "");
  EXPECT_TRUE(turn->paused);
  s->detach(follower.get());
  ASSERT_TRUE(s->attach(std::make_shared<FakeFollower>(), 4));
  EXPECT_FALSE(turn->paused);  // else both would wait for each other
}

TEST_F(SessionTest, ASlowConnectionPausesTheTurn) {
  const auto s = make({.events = 1000, .bytes = 1 << 20});
  const uint64_t n = begin(*s);
  const auto follower = std::make_shared<FakeFollower>(100);
  ASSERT_TRUE(s->attach(follower, 0));
  while (!turn->paused) ASSERT_TRUE(s->append(n, "token", ""));
  const size_t sent = follower->wire.size();
  s->append(n, "token", "");
  EXPECT_EQ(follower->wire.size(), sent);
  follower->take(sent);
  EXPECT_FALSE(turn->paused);
  EXPECT_EQ(follower->wire.front().first, sent + 1);
  while (!turn->paused) ASSERT_TRUE(s->append(n, "token", ""));
  s->detach(follower.get());  // nobody is waited for but the window
  EXPECT_FALSE(turn->paused);
}

TEST_F(SessionTest, CancelsBeforeAndWhileItRuns) {
  const auto s = make();
  EXPECT_FALSE(s->cancel());
  const auto begun = s->begin_turn();
  EXPECT_EQ(s->begin_turn().error().code, "turn_running");
  EXPECT_TRUE(s->cancel());
  EXPECT_TRUE(s->was_cancelled(begun->number));
  turn = std::make_shared<FakeTurn>();
  EXPECT_FALSE(s->run_turn(begun->number, turn));
  s->end_turn(begun->number, "end", "", nullptr);
  EXPECT_EQ(s->last(), 1u);
  const uint64_t n = begin(*s);
  EXPECT_TRUE(s->cancel());
  EXPECT_TRUE(turn->cancelled);
  EXPECT_FALSE(s->append(n, "token", ""));  // it is among the answer all the same
  s->end_turn(n, "end", "", nullptr);
  EXPECT_EQ(s->last(), 3u);
}

TEST_F(SessionTest, LetsGoOfAFollowerThatHasAll) {
  const auto s = make();
  const uint64_t n = begin(*s);
  const auto follower = std::make_shared<FakeFollower>();
  follower->stays = false;
  ASSERT_TRUE(s->attach(follower, 0));
  s->append(n, "token", "");
  EXPECT_EQ(follower->idles, 0);
  s->end_turn(n, "end", "", nullptr);
  EXPECT_EQ(follower->idles, 1);
  EXPECT_FALSE(s->attached());
  EXPECT_FALSE(s->expired(10));
  *clock.now += 10;
  EXPECT_TRUE(s->expired(10));
}

TEST_F(SessionTest, AccountsItsMemory) {
  {
    const auto s = make({.events = 1000, .bytes = 1 << 20});
    const size_t empty = totals->bytes;
    const uint64_t n = begin(*s);
    for (int i = 0; i < 100; ++i) s->append(n, "token", std::string(100, ' '));
    EXPECT_GT(totals->bytes, empty + 10'000);
    auto next = std::make_shared<Conversation>();
    next->messages.push_back({{"role", "user"}, {"content", std::string(50'000, 'x')}});
    s->end_turn(n, "end", "", next);
    EXPECT_GT(totals->bytes, empty + 60'000);
    ASSERT_TRUE(s->attach(std::make_shared<FakeFollower>(), 0));
    EXPECT_FALSE(s->acknowledge(101));
    EXPECT_LT(totals->bytes, empty + 52'000);
    EXPECT_EQ(s->acknowledge(102).value().code, "invalid_value");
  }
  EXPECT_EQ(totals->bytes, 0u);
}

// A client that breaks off, comes back, reads slowly and acknowledges at random: what it puts together is the text,
// each event once and in order. `acks`: the window is then smaller than what is on the way.
void random_clients(unsigned seed, bool acks) {
  SCOPED_TRACE(fmt::format("seed {}, acks {}", seed, acks));
  std::mt19937 random(seed);
  const auto below = [&](size_t n) { return random() % n; };
  FakeClock clock;
  const auto totals = std::make_shared<SessionTotals>();
  // Without acknowledgements, nothing is lost as long as less is on the way than the window holds.
  const auto session = std::make_shared<Session>(
      "strm_1", "", ReplayLimits{.events = acks ? 1 + below(20) : size_t{64}, .bytes = 1 << 20}, totals, clock);
  session->wait_for_acknowledgements(acks);
  const auto control = std::make_shared<FakeTurn>();
  const uint64_t turn = session->begin_turn()->number;
  ASSERT_TRUE(session->run_turn(turn, control));
  const size_t total = 300;
  std::string expected, got;
  size_t produced = 0, overshoot = 0;
  uint64_t last = 0;
  std::shared_ptr<FakeFollower> follower;
  for (size_t step = 0; last <= total && step < 100'000; ++step) {
    const size_t what = below(10);
    if (what < 4 && produced < total && (!control->paused || overshoot++ < 1)) {
      if (!control->paused) overshoot = 0;
      const std::string text(1 + below(3), static_cast<char>('a' + below(26)));
      expected += text;
      ASSERT_TRUE(session->append(turn, "token", fmt::format(R"(,"text":"{}")", text)));
      if (++produced == total) session->end_turn(turn, "end", "", nullptr);
    } else if (what < 8 && follower) {
      for (const auto& [seq, event] : follower->take(1 + below(5))) {
        ASSERT_EQ(seq, last + 1);
        last = seq;
        const Json json = Json::parse(event);
        ASSERT_EQ(json["seq"], seq);
        if (json["type"] == "token") got += json["text"].get<std::string>();
      }
      if (last > 0 && (acks || below(8) == 0)) {
        ASSERT_FALSE(session->acknowledge(last));
      }
    } else if (what == 8 && follower && below(3) == 0) {
      if (below(2) == 0) session->detach(follower.get());  // else the server does not know yet
      follower.reset();
    } else if (what == 9 && !follower) {
      follower = std::make_shared<FakeFollower>(below(4000));
      const auto attached = session->attach(follower, last);
      ASSERT_TRUE(attached) << attached.error().message;
    }
    ASSERT_LE(session->last(), last + 2 * 64 + 2);
  }
  EXPECT_EQ(last, total + 1);
  EXPECT_EQ(got, expected);
}

TEST(SessionProperty, AClientThatComesBackGetsEachEventOnce) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    random_clients(seed, true);
    random_clients(seed, false);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(SessionThreads, TurnsClientsAndSweepsAtATime) {
  const auto clock = [] { return 0.0; };
  const auto totals = std::make_shared<SessionTotals>();
  const auto session =
      std::make_shared<Session>("strm_1", "", ReplayLimits{.events = 1 << 20, .bytes = 1 << 26}, totals, clock);
  constexpr int kTokens = 2000;
  std::thread producer([&] {
    const uint64_t turn = session->begin_turn()->number;
    session->run_turn(turn, std::make_shared<FakeTurn>());
    for (int i = 0; i < kTokens; ++i) session->append(turn, "token", "");
    session->end_turn(turn, "end", "", std::make_shared<const Conversation>());
  });
  std::thread watcher([&] {
    while (session->last() < kTokens) {
      (void)session->expired(1);
      (void)session->settled();
    }
  });
  uint64_t last = 0;
  while (last <= kTokens) {
    const auto follower = std::make_shared<FakeFollower>();
    ASSERT_TRUE(session->attach(follower, last));
    session->detach(follower.get());  // from here on nobody else touches it
    for (const auto& [seq, event] : follower->wire) ASSERT_EQ(seq, ++last);
  }
  producer.join();
  watcher.join();
}

TEST(SessionStore, KeepsTenantsApart) {
  SessionStore store({.per_tenant = 2}, FakeClock());
  const auto a = store.create("a").value();
  EXPECT_EQ(store.find("a", a->id), a);
  EXPECT_EQ(store.find("b", a->id), nullptr);
  EXPECT_EQ(store.find("a", a->id.substr(1)), nullptr);
  EXPECT_EQ(store.find("a", ""), nullptr);
  std::set<std::string> ids = {a->id, store.create("a").value()->id, store.create("b").value()->id};
  EXPECT_EQ(ids.size(), 3u);
  for (const std::string& id : ids) EXPECT_EQ(id.size(), 5 + 32u);
  EXPECT_EQ(store.create("a").error().code, "too_many_sessions");
  EXPECT_EQ(store.figures().open, 3u);
}

TEST(SessionStore, WhatIsSpentMakesRoom) {
  SessionStore store({.per_tenant = 2}, FakeClock());
  const auto finish = [](Session& s, bool stateful) {
    auto next = std::make_shared<Conversation>();
    next->options.stateful = stateful;
    const uint64_t n = s.begin_turn()->number;
    s.end_turn(n, "end", "", next);
  };
  const auto a = store.create("").value(), b = store.create("").value();
  finish(*a, true);
  finish(*b, false);
  EXPECT_FALSE(store.create(""));  // not delivered yet
  const auto follower = std::make_shared<FakeFollower>();
  ASSERT_TRUE(b->attach(follower, 0));
  EXPECT_TRUE(store.create(""));
  EXPECT_TRUE(follower->was_closed);
  EXPECT_EQ(store.find("", b->id), nullptr);
  EXPECT_EQ(store.find("", a->id), a);
  EXPECT_EQ(b->begin_turn().error().code, "session_not_found");
}

TEST(SessionStore, ForgetsWhatNobodyFollows) {
  const FakeClock clock;
  SessionStore store({.ttl_s = 3600}, clock);
  const auto left = store.create("").value(), followed = store.create("").value(), preparing = store.create("").value();
  const auto control = std::make_shared<FakeTurn>();
  ASSERT_TRUE(left->run_turn(left->begin_turn()->number, control));
  ASSERT_TRUE(followed->attach(std::make_shared<FakeFollower>(), 0));
  ASSERT_TRUE(preparing->begin_turn());
  *clock.now += 3599;
  store.sweep();
  EXPECT_EQ(store.figures().open, 3u);
  EXPECT_EQ(store.figures().without_client, 2u);
  *clock.now += 1;
  store.sweep();
  EXPECT_EQ(store.find("", left->id), nullptr);
  EXPECT_TRUE(control->cancelled);
  EXPECT_EQ(store.figures().open, 2u);
  ASSERT_TRUE(preparing->run_turn(1, std::make_shared<FakeTurn>()));
  store.drain();
  EXPECT_EQ(store.find("", followed->id), followed);
  EXPECT_EQ(store.figures().open, 1u);
}

TEST(SessionStore, IsBoundedByBytes) {
  SessionStore store({.replay = {.events = 1000, .bytes = 1 << 20}, .bytes = 10'000}, FakeClock());
  const auto s = store.create("").value();
  EXPECT_FALSE(store.check_memory());
  s->append(s->begin_turn()->number, "token", std::string(10'000, ' '));
  EXPECT_EQ(store.check_memory().value().code, "session_memory");
  EXPECT_EQ(store.create("").error().status, 429);
  store.remove(s);
  EXPECT_EQ(store.figures().open, 0u);
}

StreamError refused(std::string_view text) {
  ClientMessage message;
  auto error = read_message(text, message);
  if (!error) {
    auto start = read_start(message, {});
    if (!start) error = start.error();
  }
  return error.value_or(StreamError{.code = "none"});
}

TEST(StreamMessage, ReadsWhatItKnows) {
  ClientMessage m;
  EXPECT_FALSE(read_message(R"({"type":"resume","session":"s","after":7,"ref":"r"})", m));
  EXPECT_EQ(m.type, MessageType::kResume);
  EXPECT_EQ(m.session, "s");
  EXPECT_EQ(m.ref, "r");
  EXPECT_EQ(m.after, 7u);
  EXPECT_FALSE(read_message(R"({"type":"start","prompt":"p","temperature":0.5,"logit_bias":{"7":-100}})", m));
  const auto start = read_start(m, {.max_tokens = 5});
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->options.sampling.temperature, 0.5);
  EXPECT_EQ(start->options.max_tokens, 5);
  EXPECT_FALSE(read_message(R"({"type":"append","session":"s","message":{"role":"user","content":"c"}})", m));
  EXPECT_EQ(read_start(m, {})->messages.size(), 1u);
  EXPECT_FALSE(
      read_message(R"({"type":"append","session":"s","messages":[{"role":"tool","tool_call_id":"a","content":"1"},
                               {"role":"tool","tool_call_id":"b","content":"2"}]})",
                   m));
  EXPECT_EQ(read_start(m, {})->messages.size(), 2u);
}

TEST(StreamMessage, RefusesTheRest) {
  EXPECT_EQ(refused("").code, "invalid_json");
  EXPECT_EQ(refused("\xff").code, "invalid_json");
  EXPECT_EQ(refused("7").code, "invalid_json");
  EXPECT_EQ(refused(R"({"type":7})").code, "unknown_type");
  EXPECT_EQ(refused(R"({"type":"ack","session":"s","seq":0.5})").param, "seq");
  EXPECT_EQ(refused(R"({"type":"ack","session":"s","seq":1e300})").param, "seq");
  EXPECT_EQ(refused(R"({"type":"close"})").param, "session");
  EXPECT_EQ(refused(R"({"type":"start","prompt":"p","tempereture":1})").message,
            "'tempereture' is not a known parameter; did you mean 'temperature'?");
  EXPECT_EQ(refused(R"({"type":"start","prompt":"p","tools":{}})").param, "tools");
  EXPECT_EQ(refused(R"({"type":"append","session":"s","messages":[{"role":"assistant","tool_calls":[1]}]})").param,
            "messages[0].tool_calls[0]");
  EXPECT_EQ(refused(R"({"type":"append","session":"s","message":{"role":"user","content":"a"},
                        "messages":[{"role":"user","content":"b"}]})")
                .param,
            "messages");
  EXPECT_EQ(refused(R"({"type":"append","session":"s"})").param, "messages");
}

}  // namespace
}  // namespace quern::server
