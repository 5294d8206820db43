"""Streaming sessions over WebSocket and server-sent events, by the `websockets` package and plain HTTP: broken connections
that resume, turns, limits, other keys, drain."""

import contextlib
import http.client
import json
import socket
import subprocess
import time
import unittest
import urllib.parse

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from live import QUERN, START_S, Live, LiveCase, bearer, tiny, tiny_caller

LETTERS = {str(ord(c)): 60 for c in "abcdefghijklmnopqrstuvwxyz"}  # the made-up model then writes letters, without an end
WINDOW = 64  # where a test says so: far less than what a socket's buffers hold


class Socket:
    """One WebSocket; receive() gives messages as dictionaries."""

    def __init__(self, live, key=None, **settings):
        self.closing = contextlib.ExitStack()
        self.ws = self.closing.enter_context(connect(
            live.url.replace("http", "ws", 1) + "/v1/stream", open_timeout=START_S, proxy=None,
            additional_headers=bearer(key) if key else None, **settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.close()

    def send(self, kind, **members):
        self.ws.send(json.dumps({"type": kind, **members}))

    def receive(self):
        return json.loads(self.ws.recv(timeout=START_S))

    def expect(self, kind):
        message = self.receive()
        assert message["type"] == kind, message
        return message

    def start(self, **members):
        self.send("start", **{"prompt": "hello", "logit_bias": LETTERS, "seed": 7, "max_tokens": 40, **members})
        while (message := self.receive())["type"] == "token":  # of another session
            pass
        assert message["type"] == "session", message
        return message["session"]

    def turn(self):
        """Events up to the end of a turn."""
        events = [self.receive()]
        while events[-1]["type"] == "token":
            events.append(self.receive())
        return events

    def cut(self):
        """As a network that fails: no closing handshake, no goodbye."""
        self.ws.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.ws.socket.shutdown(socket.SHUT_RD)
        self.ws.socket.close()
        self.closing.pop_all()


def text_of(events):
    return "".join(e["text"] for e in events if e["type"] == "token")


def numbers(events):
    return [e["seq"] for e in events]


class StreamCase(LiveCase):
    flags = {"n_parallel": 8, "max_sessions_per_key": 12}

    def socket(self, **settings):
        return self.enterContext(Socket(self.live, **settings))

    def sse(self, method, path, body=None, headers=None):
        """A response to read events from; closing it breaks the stream."""
        url = urllib.parse.urlsplit(self.live.url)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=START_S)
        self.addCleanup(connection.close)
        connection.request(method, path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        self.addCleanup(response.close)
        return response

    def events(self, response, most=None):
        """(id, event) of a stream of server-sent events."""
        found, name = [], None
        while most is None or len(found) < most:
            line = response.readline().decode()
            if not line:
                break
            if line.startswith("id: "):
                name = line[4:].strip()
            elif line.startswith("data: "):
                found.append((name, json.loads(line[6:])))
        return found


class Turns(StreamCase):
    def test_a_turn(self):
        ws = self.socket(subprotocols=["quern.v1"])
        self.assertEqual(ws.ws.subprotocol, "quern.v1")
        session = ws.start(ref="mine")
        self.assertRegex(session, "^strm_[0-9a-f]{32}$")
        events = ws.turn()
        self.assertEqual(numbers(events), list(range(1, len(events) + 1)))
        self.assertEqual(len(text_of(events)), 40)
        end = events[-1]
        self.assertEqual((end["type"], end["session"], end["finish_reason"]), ("end", session, "length"))
        self.assertEqual(end["usage"]["completion_tokens"], 40)
        again = self.socket()
        again.start()
        self.assertEqual(text_of(again.turn()), text_of(events))  # the same seed

    def test_the_text_is_that_of_the_completions(self):
        ws = self.socket()
        ws.start(temperature=0, max_tokens=30, stop=["zzzz"])
        events = ws.turn()
        self.assertEqual(events[-1]["finish_reason"], "length")
        self.assertEqual(len(text_of(events)), 30)

    def test_ids_and_logprobs(self):
        ws = self.socket()
        ws.start(return_ids=True, logprobs=True, top_logprobs=2, max_tokens=3)
        for event in ws.turn()[:-1]:
            self.assertEqual(chr(event["id"]), event["text"])
            self.assertEqual(event["logprobs"]["token"], event["text"])
            self.assertLessEqual(event["logprobs"]["logprob"], 0)
            self.assertEqual(len(event["logprobs"]["top_logprobs"]), 2)

    def test_three_turns_without_sending_the_history_again(self):
        ws = self.socket()
        session = ws.start(prompt=None, messages=[{"role": "user", "content": "tell me a long story " * 4}], stateful=True)
        events = ws.turn()
        last, cached, prompt = events[-1]["seq"], events[-1]["usage"]["prompt_tokens_details"]["cached_tokens"], 0
        for text in ("go on " * 8, "and then? " * 8):
            ws.send("append", session=session, message={"role": "user", "content": text})
            events = ws.turn()
            self.assertEqual(numbers(events), list(range(last + 1, last + 1 + len(events))))
            usage = events[-1]["usage"]
            self.assertGreater(usage["prompt_tokens"], prompt)
            self.assertGreater(usage["prompt_tokens_details"]["cached_tokens"], cached)
            last, prompt, cached = events[-1]["seq"], usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]
        ws.send("start", session=session, prompt="text")
        self.assertEqual(ws.expect("error")["code"], "invalid_value")  # it has messages
        ws.send("start", session=session, messages=[{"role": "user", "content": "more"}], max_tokens=2)
        self.assertEqual(ws.expect("session")["session"], session)
        self.assertEqual(ws.turn()[-1]["usage"]["completion_tokens"], 2)

    def test_a_text_goes_on(self):
        ws = self.socket()
        session = ws.start(stateful=True, max_tokens=8, temperature=0)
        first = text_of(ws.turn())
        ws.send("append", session=session, prompt="X")
        second = text_of(ws.turn())
        whole = self.socket()
        whole.start(prompt=f"hello{first}X", max_tokens=8, temperature=0)
        self.assertEqual(text_of(whole.turn()), second)

    def test_two_sessions_on_one_socket(self):
        ws = self.socket()
        a = ws.start(max_tokens=300)
        ws.send("start", prompt="other", logit_bias=LETTERS, max_tokens=300, seed=1)
        seen, ends, other = {a: []}, 0, None
        while ends < 2:
            message = ws.receive()
            if message["type"] == "session":
                other = message["session"]
                seen[other] = []
                continue
            seen[message["session"]].append(message["seq"])
            ends += message["type"] == "end"
        self.assertEqual(set(seen), {a, other})
        for got in seen.values():
            self.assertEqual(got, list(range(1, len(got) + 1)))


class Broken(StreamCase):
    def whole(self, **members):
        ws = self.socket()
        ws.start(**members)
        return text_of(ws.turn())

    def test_a_broken_stream_resumes_on_another_connection(self):
        expected = self.whole(max_tokens=500)
        first = self.socket()
        session = first.start(max_tokens=500)
        events = [first.receive() for _ in range(20)]
        first.cut()
        for _ in range(3):
            ws = self.socket()
            ws.send("resume", session=session, after=events[-1]["seq"])
            ws.expect("session")
            events += [ws.receive() for _ in range(20)]
            ws.cut()
        ws = self.socket()
        ws.send("resume", session=session, after=events[-1]["seq"])
        ws.expect("session")
        events += ws.turn()
        self.assertEqual(numbers(events), list(range(1, len(events) + 1)))
        self.assertEqual(text_of(events), expected)

    def test_another_connection_takes_over(self):
        old = self.socket()
        session = old.start(max_tokens=400)
        got = old.expect("token")["seq"]
        new = self.socket()
        new.send("resume", session=session, after=got)
        new.expect("session")
        self.assertEqual(numbers(new.turn())[0], got + 1)
        while (message := old.receive())["type"] in ("token", "end"):
            pass
        self.assertEqual((message["type"], message["code"]), ("detached", "followed_elsewhere"))

    def test_a_slow_reader_does_not_lose_anything(self):
        ws = self.socket(max_queue=1)
        ws.start(max_tokens=900, logprobs=True, top_logprobs=20)
        ws.expect("token")
        time.sleep(0.5)
        events = ws.turn()
        self.assertEqual(numbers(events), list(range(2, 902)))


class Window(StreamCase):
    flags = {**StreamCase.flags, "replay_window": WINDOW}

    def test_without_a_client_it_waits_at_the_window_for_one(self):
        ws = self.socket()
        session = ws.start(max_tokens=900, acks=True)
        events = [ws.expect("token") for _ in range(10)]
        ws.send("ack", session=session, seq=10)
        ws.send("ping")
        while (message := ws.receive())["type"] != "pong":
            events.append(message)
        ws.cut()
        self.live.wait(lambda: self.live.metric("quern_sessions", state="detached") == 1, START_S, "it is not left alone")
        time.sleep(0.3)  # long enough for all 900
        self.assertEqual(self.live.slots_used(), 1)
        ws = self.socket()
        ws.send("resume", session=session, after=events[-1]["seq"])
        self.assertLess(ws.expect("session")["last"], 10 + WINDOW + 10)
        while events[-1]["type"] != "end":
            events.append(ws.receive())
            ws.send("ack", session=session, seq=events[-1]["seq"])
        self.assertEqual(numbers(events), list(range(1, 902)))
        self.assertEqual(events[-1]["usage"]["completion_tokens"], 900)
        ws.send("resume", session=session, after=900)
        self.assertEqual(ws.expect("error")["code"], "replay_lost")
        ws.send("close", session=session)
        ws.expect("closed")

    def test_cancel_ends_the_turn_and_the_next_may_begin(self):
        ws = self.socket()
        session = ws.start(max_tokens=900, stateful=True, acks=True)
        ws.expect("token")
        ws.send("append", session=session, prompt="now")
        ws.send("cancel", session=session)
        rest, refused = [], None
        while not rest or rest[-1]["type"] != "end":
            message = ws.receive()
            if message["type"] == "error":
                refused = message
            else:
                rest.append(message)
        self.assertEqual(refused["code"], "turn_running")
        self.assertEqual(rest[-1]["finish_reason"], "cancelled")
        self.assertEqual(rest[-1]["usage"]["completion_tokens"], len(rest))
        ws.send("cancel", session=session)
        self.assertEqual(ws.expect("error")["code"], "not_running")
        ws.send("ack", session=session, seq=rest[-1]["seq"])
        ws.send("append", session=session, prompt="now")
        ws.expect("token")
        ws.send("close", session=session)
        while (message := ws.receive())["type"] != "closed":
            self.assertEqual(message["type"], "token")
        ws.send("resume", session=session, after=0)
        self.assertEqual(ws.expect("error")["code"], "session_not_found")
        self.live.wait(lambda: self.live.slots_used() == 0, START_S, "the slot is still in use")

    def test_without_acknowledgements_the_last_events_are_kept(self):
        ws = self.socket()
        session = ws.start(max_tokens=200)
        ws.turn()
        ws.send("resume", session=session, after=3, ref="r")
        lost = ws.expect("error")
        self.assertEqual((lost["code"], lost["ref"]), ("replay_lost", "r"))
        ws.send("resume", session=session, after=lost["first"] - 1)
        ws.expect("session")
        events = ws.turn()
        self.assertEqual(events[0]["seq"], lost["first"])
        self.assertEqual(len(events), WINDOW)
        ws.send("ack", session=session, seq=events[-2]["seq"])
        ws.send("resume", session=session, after=events[-3]["seq"])
        self.assertEqual(ws.expect("error")["first"], events[-1]["seq"])
        ws.send("ack", session=session, seq=events[-1]["seq"] + 1)
        self.assertEqual(ws.expect("error")["code"], "invalid_value")
        ws.send("close", session=session)
        ws.expect("closed")


class Refusals(StreamCase):
    def test_wrong_messages_get_an_error_and_the_socket_goes_on(self):
        ws = self.socket()
        for text, code in (("{", "invalid_json"), ("[]", "invalid_json"), ("{}", "unknown_type"),
                           ('{"type":"begin"}', "unknown_type"), ("[" * 100_000, "invalid_json"),
                           ('{"type":"start"}', "invalid_value"),
                           ('{"type":"start","prompt":"a","messages":[{"role":"user","content":"b"}]}', "invalid_value"),
                           ('{"type":"start","messages":[]}', "invalid_value"),
                           ('{"type":"start","messages":[1]}', "invalid_value"),
                           ('{"type":"start","prompt":"a","temprature":1}', "invalid_value"),
                           ('{"type":"start","prompt":"a","temperature":-1}', "invalid_value"),
                           ('{"type":"start","prompt":"a","n":2}', "invalid_value"),
                           ('{"type":"start","prompt":"a","top_logprobs":2}', "invalid_value"),
                           ('{"type":"start","prompt":"a","logprobs":true,"top_logprobs":99}', "invalid_value"),
                           ('{"type":"start","prompt":"a","logit_bias":{"x":1}}', "invalid_value"),
                           ('{"type":"start","prompt":"a","model":"none"}', "model_not_found"),
                           (json.dumps({"type": "start", "prompt": "a" * 3000}), "context_length_exceeded"),
                           ('{"type":"start","prompt":"a","session":"strm_0"}', "session_not_found"),
                           ('{"type":"append","session":"strm_0","prompt":"a"}', "session_not_found"),
                           ('{"type":"append","prompt":"a"}', "session_not_found"),
                           ('{"type":"resume","session":"strm_0","after":-1}', "invalid_value"),
                           ('{"type":"resume","session":"strm_0","after":1}', "session_not_found"),
                           ('{"type":"ack","session":"strm_0"}', "invalid_value")):
            with self.subTest(text=text[:60]):
                ws.ws.send(text)
                error = ws.expect("error")
                self.assertEqual(error["code"], code, error)
                self.assertTrue(error["message"])
        ws.send("ping", ref="x")
        self.assertEqual(ws.receive(), {"type": "pong", "ref": "x"})

    def test_binary_messages_close_the_socket(self):
        ws = self.socket()
        ws.ws.send(b"\0")
        with self.assertRaises(ConnectionClosed) as closed:
            ws.receive()
        self.assertEqual(closed.exception.rcvd.code, 1003)

    def test_only_stateful_sessions_have_another_turn(self):
        ws = self.socket()
        session = ws.start(max_tokens=2)
        ws.turn()
        ws.send("append", session=session, prompt="a")
        self.assertEqual(ws.expect("error")["code"], "not_stateful")

    def test_too_many_sessions(self):
        ws = self.socket()
        kept = []
        while len(kept) < 12:
            kept.append(ws.start(max_tokens=1, stateful=True))
            ws.turn()
        ws.send("start", prompt="a", max_tokens=1)
        self.assertEqual(ws.expect("error")["code"], "too_many_sessions")
        for session in kept:
            ws.send("close", session=session)
            ws.expect("closed")
        for _ in range(14):  # those that are spent make room
            ws.send("start", prompt="a", max_tokens=1)
            while ws.receive()["type"] != "end":
                pass

    def test_other_places_and_pages(self):
        for path in ("/v1/chat/completions", "/nowhere"):
            with self.assertRaises(InvalidStatus) as refused:
                with connect(self.live.url.replace("http", "ws", 1) + path, proxy=None):
                    pass
            self.assertEqual(refused.exception.response.status_code, 404)
        with self.assertRaises(InvalidStatus) as refused:
            self.socket(origin="https://elsewhere.example")
        self.assertEqual(refused.exception.response.status_code, 403)
        self.socket(origin=self.live.url)
        self.assertEqual(self.live.status("/v1/stream"), 426)


class Events(StreamCase):
    def test_a_stream_resumes_by_its_last_event(self):
        ask = {"prompt": "hello", "logit_bias": LETTERS, "seed": 3, "max_tokens": 400}
        whole = self.events(self.sse("POST", "/v1/stream", ask))
        self.assertEqual(whole[0][1]["type"], "session")
        self.assertEqual(whole[-1][1]["type"], "end")
        response = self.sse("POST", "/v1/stream", ask)
        self.assertEqual(response.status, 200)
        self.assertIn("text/event-stream", response.headers["content-type"])
        events = self.events(response, 30)
        session = events[0][1]["session"]
        self.assertEqual([name for name, _ in events], [f"{session}.{n}" for n in range(30)])
        response.close()
        path = f"/v1/stream/{session}"
        for by_header in (True, False):
            last = events[-1][0]
            where = {"headers": {"Last-Event-ID": last}} if by_header else {}
            more = self.events(self.sse("GET", path + ("" if by_header else "?after=" + last.split(".")[1]), **where), 31)
            self.assertEqual(more[0][1]["type"], "session")
            events += more[1:]
        events += self.events(self.sse("GET", path, headers={"Last-Event-ID": events[-1][0]}))[1:]
        self.assertEqual([name for name, _ in events], [f"{session}.{n}" for n in range(len(events))])
        self.assertEqual(text_of([e for _, e in events]), text_of([e for _, e in whole]))
        self.assertEqual(self.sse("GET", path, headers={"Last-Event-ID": events[-1][0]}).status, 204)
        self.assertEqual(self.sse("GET", path, headers={"Last-Event-ID": "strm_1.2"}).status, 400)
        self.assertEqual(self.sse("GET", path + "?after=99999").status, 400)
        self.assertEqual(json.loads(self.sse("DELETE", path).read())["deleted"], True)
        self.assertEqual(self.sse("DELETE", path).status, 404)
        self.assertEqual(self.sse("GET", path).status, 404)

    def test_turns_and_errors(self):
        ask = {"messages": [{"role": "user", "content": "hi"}], "logit_bias": LETTERS, "max_tokens": 5, "stateful": True}
        first = self.events(self.sse("POST", "/v1/stream", ask))
        session = first[0][1]["session"]
        second = self.events(self.sse("POST", "/v1/stream", {**ask, "session": session}))
        self.assertEqual(second[1][1]["seq"], first[-1][1]["seq"] + 1)
        self.assertGreater(second[-1][1]["usage"]["prompt_tokens"], first[-1][1]["usage"]["prompt_tokens"])
        for body, status, code in (({}, 400, "invalid_value"), ({**ask, "session": "strm_0"}, 404, "session_not_found"),
                                   ({"prompt": "a" * 3000}, 400, "context_length_exceeded"),
                                   ({"prompt": "a", "model": "none"}, 404, "model_not_found"),
                                   ({"prompt": "a", "tools": [1]}, 400, "invalid_value")):
            response = self.sse("POST", "/v1/stream", body)
            self.assertEqual((response.status, json.loads(response.read())["error"]["code"]), (status, code))

    def test_delete_cancels(self):
        response = self.sse("POST", "/v1/stream", {"prompt": "hello", "logit_bias": LETTERS, "max_tokens": 900})
        session = self.events(response, 3)[0][1]["session"]
        self.assertEqual(self.live.request(f"/v1/stream/{session}", method="DELETE")[0], 200)
        self.assertIn(self.events(response)[-1][1]["type"], ("closed", "end"))  # the latter where it was quicker
        self.assertEqual(self.live.status(f"/v1/stream/{session}"), 404)
        self.live.wait(lambda: self.live.slots_used() == 0, START_S, "the slot is still in use")


WEATHER = {"type": "object", "additionalProperties": False, "required": ["unit", "days"],
           "properties": {"unit": {"enum": ["celsius", "fahrenheit"]}, "days": {"type": "integer", "minimum": 1, "maximum": 7}}}


class Tools(StreamCase):
    TOOLS = [{"type": "function", "function": {"name": "weather", "description": "the weather", "parameters": WEATHER}},
             {"type": "function", "function": {"name": "forecast", "parameters": WEATHER}}]
    ASK = {"messages": [{"role": "user", "content": "hello"}], "tools": TOOLS, "tool_choice": "required", "temperature": 1.5,
           "max_tokens": 400, "stateful": True}

    @classmethod
    def models(cls):
        return [tiny_caller()]

    def calls_of(self, events):
        """What the deltas add up to, checked."""
        calls = []
        for event in events[:-1]:
            for delta in event.get("tool_calls", []):
                self.assertEqual(event["text"], "")
                if "id" in delta:
                    self.assertEqual(delta["index"], len(calls))
                    calls.append({**delta, "function": {**delta["function"]}})
                else:
                    calls[delta["index"]]["function"]["arguments"] += delta["function"]["arguments"]
        for call in calls:
            del call["index"]
            self.assertIn(call["function"]["name"], ("weather", "forecast"))
            self.assertEqual({"unit", "days"}, {*json.loads(call["function"]["arguments"])})
        return calls

    def results_of(self, calls):
        return [{"role": "tool", "tool_call_id": call["id"], "content": "12"} for call in calls]

    def chat(self, messages, **settings):
        """The same by /v1/chat/completions."""
        body = {name: value for name, value in self.ASK.items() if name != "stateful"}
        return self.live.json("/v1/chat/completions", {**body, "messages": messages, **settings})

    def loop(self, ws, session, events, seed):
        """Two more turns of a session; each is what a chat with the whole conversation gives, and the turn before is not
        read again."""
        messages = list(self.ASK["messages"])
        for turn in range(2):
            calls, usage = self.calls_of(events), events[-1]["usage"]
            self.assertEqual(events[-1]["finish_reason"], "tool_calls")
            whole = self.chat(messages, seed=seed)["choices"][0]["message"]
            self.assertEqual([call["function"] for call in calls], [call["function"] for call in whole["tool_calls"]])
            messages += [{"role": "assistant", "content": None, "tool_calls": calls}, *self.results_of(calls)]
            ws.send("append", session=session, messages=self.results_of(calls))
            last, events = events[-1]["seq"], ws.turn()
            self.assertEqual(numbers(events), list(range(last + 1, last + 1 + len(events))))
            before = usage["prompt_tokens"] + usage["completion_tokens"]
            self.assertGreater(events[-1]["usage"]["prompt_tokens_details"]["cached_tokens"], before - 17)
        return messages, events

    def test_a_loop_of_turns(self):
        ws = self.socket()
        session = ws.start(**{"prompt": None, "logit_bias": None, **self.ASK, "seed": 5})
        messages, events = self.loop(ws, session, ws.turn(), seed=5)
        calls = self.calls_of(events)
        ws.send("start", session=session, messages=self.results_of(calls), tool_choice="auto", temperature=0,
                logit_bias=LETTERS, max_tokens=8)
        ws.expect("session")
        self.assertRegex(text_of(ws.turn()), "^[a-z]{8}$")
        ws.send("append", session=session, message={"role": "user", "content": "x"})
        self.assertRegex(text_of(ws.turn()), "^[a-z]{8}$")
        ws.send("start", session=session, messages=self.ASK["messages"], tools=[], tool_choice="required")
        self.assertEqual(ws.expect("error")["param"], "tool_choice")

    def test_deltas_are_replayed_by_their_numbers(self):
        ws = self.socket()
        session = ws.start(**{"prompt": None, "logit_bias": None, **self.ASK, "seed": 3})
        events = [ws.receive() for _ in range(4)]
        ws.cut()
        again = self.socket()
        again.send("resume", session=session, after=events[-1]["seq"])
        again.expect("session")
        events += again.turn()
        self.assertEqual(numbers(events), list(range(1, len(events) + 1)))
        self.assertTrue(self.calls_of(events))
        # And over the other transport, all of it, with the next turn behind.
        replayed = [event for _, event in self.events(self.sse("GET", f"/v1/stream/{session}"))]
        self.assertEqual(replayed[1:], events)
        body = {"session": session, "messages": self.results_of(self.calls_of(events))}
        more = [event for _, event in self.events(self.sse("POST", "/v1/stream", body))][1:]
        self.assertEqual(more[0]["seq"], events[-1]["seq"] + 1)
        self.assertTrue(self.calls_of(more))

    def test_each_token_is_told_with_its_id(self):
        ws = self.socket()
        ws.start(**{"prompt": None, "logit_bias": None, **self.ASK, "return_ids": True, "logprobs": True, "seed": 2})
        events = ws.turn()
        self.assertTrue(self.calls_of(events))
        self.assertEqual(sum("id" in event for event in events), events[-1]["usage"]["completion_tokens"])

    def test_thinking_has_a_member_of_its_own(self):
        ws = self.socket()
        ws.start(prompt=None, messages=self.ASK["messages"], chat_template_kwargs={"enable_thinking": True}, max_tokens=9)
        events = ws.turn()
        self.assertRegex("".join(event.get("reasoning_content", "") for event in events), "^[a-z]{9}$")
        self.assertEqual(text_of(events), "")

    def test_what_is_wrong_is_named(self):
        for change, param in (({"tools": [{"type": "function"}]}, "tools[0].function"),
                              ({"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
                              ({"response_format": {"type": "json_object"}}, "response_format"),
                              ({"prompt": "x", "messages": None}, "tools"),
                              ({"messages": [{"role": "assistant", "tool_calls": [1]}]}, "messages[0].tool_calls[0]")):
            with self.subTest(change):
                error = json.loads(self.sse("POST", "/v1/stream", {**self.ASK, **change}).read())["error"]
                self.assertEqual((error["code"], error["param"]), ("invalid_value", param))


class Servers(unittest.TestCase):
    def key_line(self, name, key):
        return subprocess.run([QUERN, "serve", "--hash-key", name], input=key, text=True, check=True,
                              capture_output=True).stdout

    @contextlib.contextmanager
    def ending(self, **flags):
        """A server that the test itself ends."""
        live = Live([tiny()], **flags)
        self.addCleanup(live.kill)
        yield live.__enter__()
        live.check(True, "")

    def test_a_session_is_its_keys_alone(self):
        keys = tiny().parent / "keys.txt"
        keys.write_text(self.key_line("a", "key-of-a-0123456789") + self.key_line("b", "key-of-b-0123456789"))
        keys.chmod(0o600)
        with Live([tiny()], api_keys=keys) as live, Socket(live, key="key-of-a-0123456789") as a:
            session = a.start(max_tokens=3)
            a.turn()
            with Socket(live, key="key-of-b-0123456789") as b:
                answers = []
                for name in (session, "strm_" + "0" * 32):
                    for kind, more in (("resume", {"after": 0}), ("cancel", {}), ("ack", {"seq": 1}), ("close", {}),
                                       ("append", {"prompt": "x"})):
                        b.send(kind, session=name, **more)
                        error = b.expect("error")
                        answers.append((error["code"], error["message"]))
                self.assertEqual(len(set(answers)), 1)  # as if it were not there
                self.assertEqual(answers[0][0], "session_not_found")
            path = f"/v1/stream/{session}?after=0"
            self.assertEqual(live.request(path, headers=bearer("key-of-b-0123456789"))[0], 404)
            self.assertEqual(live.request(path, headers=bearer("key-of-a-0123456789"))[0], 200)
            with self.assertRaises(InvalidStatus) as refused:
                Socket(live, key="wrong")
            self.assertEqual(refused.exception.response.status_code, 401)

    def test_sessions_end_with_their_time_and_with_the_server(self):
        with Live([tiny()], replay_window=8, session_ttl="1s") as live:
            with Socket(live) as ws:
                session = ws.start(max_tokens=900, acks=True)
                got = ws.expect("token")["seq"]
                ws.cut()
            live.wait(lambda: live.metric("quern_sessions") == 0, START_S, "the session does not end")
            live.wait(lambda: live.slots_used() == 0, START_S, "the slot was not freed")
            with Socket(live) as ws:
                ws.send("resume", session=session, after=got)
                self.assertEqual(ws.expect("error")["code"], "session_not_found")
                other = ws.start(max_tokens=2)
                ws.turn()
        with Live([tiny()]) as live, Socket(live) as ws:
            ws.send("resume", session=other, after=0)
            self.assertEqual(ws.expect("error")["code"], "session_not_found")

    def test_drain_lets_a_turn_end(self):
        with self.ending(replay_window=WINDOW) as live, Socket(live) as ws, Socket(live) as idle:
            session = ws.start(max_tokens=900, acks=True)
            ws.expect("token")
            live.process.terminate()
            live.wait(lambda: live.status("/ready") == 503, START_S, "it does not drain")
            idle.send("start", prompt="a")
            self.assertEqual(idle.expect("error")["code"], "draining")
            while (event := ws.receive())["type"] == "token":
                with contextlib.suppress(ConnectionClosed):  # the last events may wait here when the server is done
                    ws.send("ack", session=session, seq=event["seq"])
            self.assertEqual((event["seq"], event["finish_reason"]), (901, "length"))
            self.expect_end(live, ws, idle)

    def test_drain_ends_what_takes_too_long(self):
        with self.ending(replay_window=WINDOW, drain_timeout="0.1s") as live, Socket(live) as ws:
            ws.start(max_tokens=900, acks=True)  # and nothing is acknowledged
            ws.start(max_tokens=900, acks=True)
            live.process.terminate()
            reasons = []
            while len(reasons) < 2:
                event = ws.receive()
                if event["type"] != "token":
                    reasons.append(event["finish_reason"])
            self.assertEqual(reasons, ["shutdown"] * 2)
            self.expect_end(live, ws)

    def expect_end(self, live, *sockets):
        for ws in sockets:
            with self.assertRaises(ConnectionClosed) as closed:
                ws.receive()
            self.assertEqual(closed.exception.rcvd.code, 1001)
        self.assertEqual(live.process.wait(START_S), 0)


if __name__ == "__main__":
    unittest.main()
