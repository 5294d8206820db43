"""The limits that a server sets: keys, rates, queues, deadlines, priorities, contexts, memory; and TLS and CORS."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import threading
import time
import unittest
import unittest.mock

from wire import Wire, WireCase, body_of, check_clean, complete, models_of, running, slow, text_of, waiting

from live import FOLDER, START_S, Live, bearer, tiny

ROUTE = "/v1/completions"
ENDLESS = {"max_tokens": 1 << 20}
OPEN = {"/", "/health", "/ready", "/metrics", "/openapi.json", "/api/version"}  # without a key


def keys(path, *lines):
    """A file of keys; a line is a name, which is the key as well, and its settings."""
    text = "".join(f"{name} sha256:{hashlib.sha256(name.encode()).hexdigest()} {rest}\n"
                   for name, _, rest in (line.partition(" ") for line in lines))
    path.write_text(text)
    path.chmod(0o600)
    return path


def begun(live, stack, n=1, headers=None, **settings):
    """So many endless streams that run."""
    streams = [stack.enter_context(Wire(live)).stream(ROUTE, body_of(**{**ENDLESS, **settings}), **(headers or {}))
               for _ in range(n)]
    for events in streams:
        next(events)
    return streams


def cached(answer):
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"]


class Keys(WireCase):
    @classmethod
    def setUpClass(cls):
        path = keys(FOLDER / "keys.txt", "alice-alice-alice-1", "bob-bob-bob-bob-bob-1",
                    "seldom-seldom-seldom requests_per_minute=3", "picky-picky-picky-1 models=other")
        cls.flags = {"api_keys": path, "cors_origins": "https://good.example"}
        super().setUpClass()

    def test_every_route_wants_a_key(self):
        paths = self.live.json("/openapi.json")["paths"]
        self.assertGreater(len(paths), 20)
        wrong = [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "alice-alice-alice-1"},
                 {"Authorization": "Basic YWxpY2U6"}, {"X_Api_Key": "wrong"}, {"X_Api_Key": "alice-alice-alice-1x"},
                 {"Authorization": "Bearer " + "a" * 20_000}]
        refused = self.live.metric("quern_refused_keys_total")
        count = 0
        for path, operations in paths.items():
            for method in operations:
                for headers in wrong if path not in OPEN else []:
                    answer = self.ask(re.sub("{.*}", "x", path), {} if method == "post" else None, method.upper(), **headers)
                    self.assertEqual((path, answer.status), (path, 401))
                    self.assertEqual(answer.headers["www-authenticate"], "Bearer")
                    count += 1
        self.assertEqual(self.live.metric("quern_refused_keys_total"), refused + count)
        for path in OPEN:
            self.assertEqual((path, self.ask(path).status), (path, 200))

    def test_good_keys(self):
        for headers in ({"Authorization": "Bearer alice-alice-alice-1"}, {"X-API-Key": "alice-alice-alice-1"},
                        {"authorization": "bearer alice-alice-alice-1"}):
            self.assertEqual(len(complete(self.live, headers=headers)["choices"][0]["text"]), 8)
        # The body of who has no key is not read.
        with Wire(self.live) as wire:
            wire.send(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
            self.assertEqual(wire.answer().status, 401)

    def test_a_key_for_one_model(self):
        status, _, data = self.live.request(ROUTE, body_of(), headers=bearer("picky-picky-picky-1"))
        self.assertEqual(status, 404, data)

    def test_a_key_with_few_requests(self):
        headers = {"Authorization": "Bearer seldom-seldom-seldom"}
        statuses = [self.ask("/v1/models", **headers).status for _ in range(3)]
        self.assertEqual(statuses, [200] * 3)
        answer = self.ask(ROUTE, body_of(), **headers)
        self.refused(answer, 429, "requests")
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        self.assertEqual(self.live.metric("quern_rate_limited_total", limit="requests"), 1)
        self.assertEqual(self.ask("/v1/models", Authorization="Bearer bob-bob-bob-bob-bob-1").status, 200)

    def test_a_key_never_meets_the_prefixes_of_another(self):
        alice, bob = bearer("alice-alice-alice-1"), bearer("bob-bob-bob-bob-bob-1")
        prompt = text_of(700, 1)
        first = complete(self.live, prompt, headers=alice)
        again = complete(self.live, prompt, headers=alice)
        other = complete(self.live, prompt, headers=bob)
        self.assertEqual([cached(first), cached(other)], [0, 0])
        self.assertGreater(cached(again), 600)
        self.assertEqual(len({answer["choices"][0]["text"] for answer in (first, again, other)}), 1)
        self.assertGreater(cached(complete(self.live, prompt, headers=bob)), 600)
        # A part of the prompt, or more than it, tells as little.
        self.assertEqual(cached(complete(self.live, prompt[:300], headers=bearer("alice-alice-alice-1"))), 299)
        self.assertEqual(cached(complete(self.live, text_of(700, 2), headers=alice)), 0)

    def test_cors(self):
        preflight = {"Origin": "https://good.example", "Access_Control_Request_Method": "POST",
                     "Access_Control_Request_Headers": "authorization, content-type"}
        answer = self.ask(ROUTE, None, "OPTIONS", **preflight)  # comes without a key
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://good.example")
        self.assertIn("POST", answer.headers["access-control-allow-methods"])
        self.assertIn("authorization", answer.headers["access-control-allow-headers"].lower())
        answer = self.ask(ROUTE, None, "OPTIONS", **{**preflight, "Origin": "https://evil.example"})
        self.assertNotIn("access-control-allow-origin", answer.headers)
        # A page also has to see why it was refused.
        for path, body, headers, status in (
                (ROUTE, body_of(), bearer("alice-alice-alice-1"), 200), (ROUTE, {"prompt": 1}, bearer("alice-alice-alice-1"), 400),
                (ROUTE, body_of(), {}, 401), ("/nowhere", None, {}, 404), (ROUTE, None, {}, 405)):
            answer = self.ask(path, body, Origin="https://good.example", **headers)
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers.get("access-control-allow-origin"), "https://good.example", status)
            self.assertEqual(answer.headers.get("vary"), "Origin")
        self.assertNotIn("access-control-allow-origin", self.ask("/health", Origin="https://evil.example").headers)


class Reload(unittest.TestCase):
    def hang_up(self, live, words):
        seen = live.log().count(words)
        live.process.send_signal(signal.SIGHUP)
        live.wait(lambda: live.log().count(words) > seen, START_S, f"the log does not say '{words}'")

    def test_keys(self):
        path = keys(FOLDER / "changing.txt", "old-old-old-old-old-1", "both-both-both-both-1")
        allowed = lambda key: live.request("/v1/models", headers=bearer(key))[0]
        with Live([slow()], api_keys=path) as live, contextlib.ExitStack() as stack:
            [events] = begun(live, stack, headers=bearer("old-old-old-old-old-1"), max_tokens=3000)
            keys(path, "new-new-new-new-new-1", "both-both-both-both-1")
            self.assertEqual(allowed("new-new-new-new-new-1"), 401)
            self.hang_up(live, "read again")
            self.assertEqual([allowed(f"{k}-{k}-{k}-{k}-{k}-1") for k in ("old", "new")], [401, 200])
            self.assertEqual(allowed("both-both-both-both-1"), 200)
            for broken in ("new-new sha256:12\n", "\0\xff", "a sha256:" + "0" * 64 + " priority=99\n"):
                path.write_text(broken)
                self.hang_up(live, str(path))
                self.assertEqual([allowed(f"{k}-{k}-{k}-{k}-{k}-1") for k in ("old", "new")], [401, 200])
            path.unlink()
            self.hang_up(live, str(path))
            self.assertEqual(allowed("new-new-new-new-new-1"), 200)
            *_, last = events  # began with a key that is gone
            self.assertEqual(last, "[DONE]")
            check_clean(live)

    def certificate(self, folder, name):
        """Signs one for this machine, and puts it in the place of an older one."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                        "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
        context = ssl.create_default_context(cafile=folder / "cert.pem")
        return context

    def test_tls(self):
        if not shutil.which("openssl"):
            self.skipTest("there is no openssl to make certificates with")
        folder = FOLDER / "tls"
        folder.mkdir()
        first = self.certificate(folder, "first")
        trust = {"SSL_CERT_FILE": str(folder / "cert.pem")}
        with unittest.mock.patch.dict(os.environ, trust), Live(
                [tiny()], tls_certificate=folder / "cert.pem", tls_key=folder / "key.pem", header_timeout=1) as live:
            self.assertTrue(live.url.startswith("https://"))
            text = complete(live, max_tokens=300)["choices"][0]["text"]
            with Wire(live, context=first) as wire:
                events = wire.stream(ROUTE, body_of(max_tokens=300))
                streamed = "".join(c["text"] for e in events if e != "[DONE]" for c in json.loads(e)["choices"])
                self.assertEqual(streamed, text)
                wire.ask(ROUTE, body_of(max_tokens=300))
                self.assertEqual(wire.answer().json()["choices"][0]["text"], text)
            for nonsense in (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(500), b"\x16\x03\x01\x02\x00", b""):
                with Wire(live) as wire:
                    wire.send(nonsense)
                    self.assertTrue(wire.ended())
                    self.assertNotIn(b"200", wire.bytes)
            with self.assertRaises(ssl.SSLCertVerificationError):
                Wire(live, context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # trusts nobody
            with Wire(live, context=first) as wire:  # dies in a stream
                next(wire.stream(ROUTE, body_of(**ENDLESS)))
                wire.reset()
            check_clean(live)
            second = self.certificate(folder, "second")
            self.hang_up(live, "read again")
            with self.assertRaises(ssl.SSLCertVerificationError):
                Wire(live, context=first)
            (folder / "cert.pem").write_text("broken")
            self.hang_up(live, "cert.pem")
            with Wire(live, context=second) as wire:
                wire.ask("/ready")
                self.assertEqual(wire.answer().status, 200)
            self.certificate(folder, "third")  # for the server's own end
            self.hang_up(live, "read again")


class Queues(unittest.TestCase):
    def test_a_full_queue(self):
        with Live([slow()], n_parallel=1, max_waiting=2) as live, contextlib.ExitStack() as stack:
            begun(live, stack)
            queued = [stack.enter_context(Wire(live)) for _ in range(2)]
            for i, wire in enumerate(queued):
                wire.ask(ROUTE, body_of(stream=bool(i)))
            live.wait(lambda: waiting(live) == 2, START_S, "they do not wait")
            for stream in (False, True):
                status, headers, data = live.request(ROUTE, body_of(stream=stream))
                self.assertEqual(status, 429, data)
                self.assertEqual(json.loads(data)["error"]["type"], "rate_limit_error")
                self.assertGreaterEqual(int(headers["retry-after"]), 1)
            self.assertEqual(live.metric("quern_queue_full_total"), 2)
            for wire in queued:
                wire.reset()
            live.wait(lambda: waiting(live) == 0, START_S, "they wait on")
            stack.close()
            check_clean(live)

    def test_free_slots_are_no_queue(self):
        with Live([slow()], n_parallel=16, max_waiting=1) as live, contextlib.ExitStack() as stack:
            wires = [stack.enter_context(Wire(live)) for _ in range(16)]
            for _ in range(5):
                for wire in wires:  # all are there before the first of them has run
                    wire.ask(ROUTE, body_of())
                self.assertEqual([wire.answer().status for wire in wires], [200] * 16)
            check_clean(live)

    def test_deadlines(self):
        with Live([slow()], n_parallel=1, max_deadline="1h") as live, contextlib.ExitStack() as stack:
            late = {"x-quern-deadline": "0.1"}
            status, _, data = live.request(ROUTE, body_of(**ENDLESS), headers=late)
            self.assertEqual(status, 504, data)
            wire = stack.enter_context(Wire(live))
            *_, last = wire.stream(ROUTE, body_of(**ENDLESS), **late)
            self.assertIn("error", json.loads(last))
            begun(live, stack)
            status, _, data = live.request(ROUTE, body_of(), headers=late)  # in the queue
            self.assertEqual(status, 504, data)
            for bad in ("soon", "-1", "nan", "1e99", "0x10", "1 2"):
                self.assertEqual(live.request(ROUTE, body_of(), headers={"x-quern-deadline": bad})[0], 400, bad)
            self.assertEqual(live.metric("quern_cancellations_total", cause="deadline"), 3)
            stack.close()
            check_clean(live)

    def test_a_high_priority_overtakes(self):
        high, low = "high-high-high-high-1", "low-low-low-low-low-1"
        path = keys(FOLDER / "ranks.txt", f"{high} priority=9", f"{low} priority=1")
        with Live([slow()], n_parallel=1, api_keys=path, ageing="1h") as live, contextlib.ExitStack() as stack:
            running_one = stack.enter_context(Wire(live))
            next(running_one.stream(ROUTE, body_of(**ENDLESS), **bearer(high), X_Quern_Priority=9))
            order, readers = [], []

            def read(name, wire):
                if wire.answer().status == 200:
                    order.append(name)

            def queue(name, key, priority):
                wire = stack.enter_context(Wire(live))
                wire.ask(ROUTE, body_of(name, max_tokens=200), **bearer(key), X_Quern_Priority=priority)
                readers.append(threading.Thread(target=read, args=(name, wire)))
                readers[-1].start()
                live.wait(lambda: waiting(live) == len(readers), START_S, "it does not wait")

            queue("first", high, 3)
            queue("capped", low, 9)  # no more than its key has
            queue("second", high, 3)
            queue("ahead", high, 9)
            self.assertEqual(order, [])
            running_one.reset()
            for reader in readers:
                reader.join(START_S)
            self.assertEqual(order, ["ahead", "first", "second", "capped"])
            self.assertEqual(live.request(ROUTE, body_of(), headers={**bearer(high), "x-quern-priority": "10"})[0], 400)
            check_clean(live)


class Contexts(unittest.TestCase):
    def test_prompts_that_are_too_long(self):
        models = "".join(f"  - model: {tiny(file=name)}\n    prompt_policy: {policy}\n" for name, policy in
                         (("plain", "error"), ("middle", "truncate-middle"), ("head", "truncate-head")))
        long = text_of(1500)
        with Live([], config="models:\n" + models) as live:
            for stream in (False, True):
                status, _, data = live.request(ROUTE, body_of(long, model="plain", stream=stream))
                error = json.loads(data)["error"]
                self.assertEqual((status, error["code"]), (400, "context_length_exceeded"))
                self.assertRegex(error["message"], "1500 .*1024")
            status, _, data = live.request("/api/generate", {"model": "plain", "prompt": long, "raw": True})
            self.assertEqual(status, 400, data)
            self.assertRegex(json.loads(data)["error"], "1500 .*1024")
            for name in ("middle", "head"):
                status, headers, data = live.request(ROUTE, body_of(long, model=name))
                self.assertEqual(status, 200, data)
                answer = json.loads(data)
                kept = answer["usage"]["prompt_tokens"]
                self.assertLess(kept, 1024)
                self.assertIn(f"removed={1500 - kept}", headers["x-quern-truncated"])
                self.assertEqual(answer["quern"]["truncated_tokens"], 1500 - kept)
                head = kept // 2 if name == "middle" else 1  # this model begins its texts with a token of its own
                by_hand = live.json("/tokenize", {"content": long})["tokens"]
                by_hand = by_hand[:head] + by_hand[len(by_hand) - kept + head:]
                self.assertEqual(complete(live, by_hand, model="plain")["choices"][0]["text"], answer["choices"][0]["text"])
                policy = "truncate-" + name
                self.assertEqual(live.metric("quern_truncated_prompts_total", policy=policy), 1)
                self.assertEqual(live.metric("quern_truncated_tokens_total", policy=policy), 1500 - kept)
                self.assertIn(policy, live.log())
            check_clean(live)

    def test_the_end_of_the_context(self):
        with Live([tiny()]) as live:
            answer = complete(live, text_of(1000), **ENDLESS)
            self.assertEqual(answer["choices"][0]["finish_reason"], "length")
            self.assertIn(answer["usage"]["total_tokens"], (1024, 1025))  # the last one is not read again
            with Wire(live) as wire:
                *_, last, done = wire.stream(ROUTE, body_of(text_of(1000), **ENDLESS))
                self.assertEqual((json.loads(last)["choices"][0]["finish_reason"], done), ("length", "[DONE]"))
            check_clean(live)


class Memory(unittest.TestCase):
    def loaded(self, live):
        return sorted(model["name"] for model in models_of(live))

    def test_models_come_and_go(self):
        with Live([tiny(file="one"), tiny(file="two")], load="on_demand", keep_alive=1) as live:
            self.assertEqual(self.loaded(live), [])
            for _ in range(2):
                texts = {complete(live, model=name)["choices"][0]["text"] for name in ("one", "two")}
                self.assertEqual(len(texts), 1)
                self.assertEqual(self.loaded(live), ["one", "two"])
                live.wait(lambda: self.loaded(live) == [], START_S, "idle models are not unloaded")
            self.assertEqual(live.metric("quern_model_loads_total"), 4)
            with self.unread(live, "one") as wire:  # one that is used stays
                time.sleep(2.5)
                self.assertEqual(self.loaded(live), ["one"])
                wire.reset()
            live.wait(lambda: self.loaded(live) == [], START_S, "it is not unloaded")

    def unread(self, live, model):
        """A stream that goes on as long as it is not read: some MB."""
        wire = Wire(live, receive_bytes=4096)
        wire.ask(ROUTE, body_of(model=model, stream=True, n=8, logprobs=20, max_tokens=900))
        live.wait(lambda: running(live) == 8, START_S, "it does not run")
        return wire

    def test_memory_for_one(self):
        # What the second is thought to need, and less than the first takes beside it.
        limit = tiny(file="one").stat().st_size * 21 // 20 + (64 << 20) + (256 << 10)
        with Live([tiny(file="one"), tiny(file="two")], load="on_demand", memory_limit=limit, n_parallel=8) as live:
            for name in ("one", "two", "one"):
                self.assertEqual(len(complete(live, model=name)["choices"][0]["text"]), 8)
                self.assertEqual(self.loaded(live), [name])
            with self.unread(live, "one"):
                status, _, data = live.request(ROUTE, body_of(model="two"))
                self.assertEqual(status, 503, data)
                self.assertRegex(json.loads(data)["error"]["message"], "memory_limit")
            live.wait(lambda: live.request(ROUTE, body_of(model="two"))[0] == 200, START_S, "there is no room again")
            self.assertEqual(self.loaded(live), ["two"])
            check_clean(live)


if __name__ == "__main__":
    unittest.main()
