"""What clients, disks and signals do to a live server. After each fault it lives, answers, and has every slot and page
back."""

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import threading
import time
import unittest

from wire import (Closed, Wire, WireCase, body_of, check_clean, complete, models_of, request, running, slow, text_of,
                  waiting)

from live import FOLDER, START_S, Live, tiny

ROUTE = "/v1/completions"
MB = 1 << 20
ENDLESS = {"max_tokens": 1 << 20}


def joined(events):
    """The text of a stream of one choice, and what ended it."""
    text, reason = "", None
    for data in events:
        if data == "[DONE]":
            return text, reason
        for choice in json.loads(data).get("choices", []):
            text += choice["text"]
            reason = choice["finish_reason"] or reason
    return text, reason


class Bodies(WireCase):
    flags = {"max_body_mb": 4, "max_header_kb": 32}

    def test_malformed_json(self):
        for body in (b"", b"{", b"[1,", b'{"prompt": "a",}', b"{'a': 1}", b"nul", b"{} {}", b"\x00", b'{"a": NaN}', b"\xef\xbb"):
            for path in (ROUTE, "/v1/chat/completions", "/tokenize"):
                self.refused(self.ask(path, body), 400, "JSON")
        for body in (b"[]", b"1", b'"text"', b"null"):
            self.refused(self.ask(ROUTE, body), 400)

    def test_text_that_is_not_unicode(self):
        for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\\ud800", b"\\udc00\\ud800"):
            self.refused(self.ask("/tokenize", b'{"content": "' + bad + b'"}'), 400, "JSON")
        for bad in (b"\xff", b'{"\xff": 1}', b'{"model": "\xff"}'):
            self.refused(self.ask(ROUTE, bad), 400)
        ids = self.live.json("/tokenize", {"content": "a\0b"})["tokens"]
        self.assertEqual(self.live.json("/detokenize", {"tokens": ids})["content"], "a\0b")
        # Half a character from the model is no invalid JSON to the client.
        self.assertIn("�", self.live.json("/detokenize", {"tokens": [0xE2, 0x82]})["content"])

    def test_deep_nesting(self):
        for opening in (b"[", b'{"a":', b'[{"a":'):
            self.refused(self.ask(ROUTE, opening * 100_000), 400, "nested|JSON")
        self.refused(self.ask(ROUTE, b'{"prompt":' + b"[" * 65 + b"]" * 65 + b"}"), 400, "nested")

    def test_huge_numbers(self):
        for name in ("max_tokens", "n", "seed", "top_k", "temperature", "top_p"):
            for number in (b"1e400", b"-1e400", b"9" * 400, b"1" + b"0" * 30, b"-18446744073709551616", b"1e18"):
                if name == "seed" and number == b"1e18" or name == "max_tokens" and number == b"1e18":
                    continue  # good, if large
                body = b'{"prompt": "a", "max_tokens": 1, "%s": %s}' % (name.encode(), number)
                self.refused(self.ask(ROUTE, body), 400)
        for ids in (b"[-1]", b"[4294967296]", b"[1e99]", b"[18446744073709551615]", b"[261]", b"[0.5]"):
            self.refused(self.ask("/detokenize", b'{"tokens": ' + ids + b"}"), 400)
            self.refused(self.ask(ROUTE, b'{"prompt": ' + ids + b"}"), 400)

    def test_an_object_of_very_many_members(self):
        # Members are kept in a list: without a bound the time is that of their number squared.
        body = b"{" + b",".join(b'"%07d":0' % i for i in range(300_000)) + b"}"
        self.refused(self.ask(ROUTE, body), 400, "members")
        bias = {str(i): 0 for i in range(261)}
        self.assertEqual(self.ask(ROUTE, body_of(logit_bias=bias, max_tokens=1)).status, 200)
        # So many small ones are good.
        self.refused(self.ask("/detokenize", {"tokens": [{}] * 200_000}), 400, "tokens")

    def test_what_is_ignored_cannot_flood_the_answer(self):
        ignored = {f"x{i}" + "y" * 1000: 1 for i in range(1000)}
        answer = self.ask("/v1/models", {**ignored}, method="GET")
        self.assertEqual(answer.status, 200)
        answer = self.ask(ROUTE, body_of(user="a\r\nset-cookie: b", max_tokens=1))
        self.assertEqual(answer.status, 200)
        self.assertNotIn("set-cookie", answer.headers)

    def pour(self, head, piece, n):
        """Sends a head and then n pieces, until the server has had enough; the answer and how many went."""
        wire = self.wire()
        wire.send(head)
        sent = 0
        wire.socket.setblocking(False)
        with contextlib.suppress(ConnectionError):
            while sent < n:
                try:
                    wire.socket.send(piece)
                    sent += 1
                except BlockingIOError:
                    time.sleep(0.001)
                with contextlib.suppress(BlockingIOError):
                    if received := wire.socket.recv(1 << 16):
                        wire.bytes += received
                        break
        wire.socket.settimeout(START_S)
        return wire.answer(), sent

    def test_a_hundred_megabytes_of_body_are_refused_early(self):
        head = request(ROUTE, b"", Content_Length=100 * MB)
        answer, sent = self.pour(head, bytes(MB), 100)
        self.refused(answer, 413, "body")
        self.assertLess(sent, 20)
        head = request(ROUTE, b"", Content_Length=None, Transfer_Encoding="chunked")
        answer, sent = self.pour(head, b"100000\r\n" + bytes(MB) + b"\r\n", 100)
        self.refused(answer, 413, "body")
        self.assertLess(sent, 20)

    def test_ten_megabytes_of_header_are_refused_early(self):
        line = b"x-long: " + b"a" * 65_000 + b"\r\n"
        answer, sent = self.pour(b"GET /health HTTP/1.1\r\nHost: localhost\r\n", line, 160)
        self.assertEqual(answer.status, 431)
        self.assertLess(sent, 100)
        answer, _ = self.pour(b"GET /health HTTP/1.1\r\nHost: localhost\r\n", b"a: b\r\n" * 1000, 1000)
        self.assertEqual(answer.status, 431)


class Sockets(WireCase):
    flags = {"n_parallel": 16, "header_timeout": 1, "body_timeout": 1, "write_timeout": 1, "max_connections": 6000}
    # Much text from few tokens: some MB, more than sockets hold.
    wordy = {"n": 8, "logprobs": 20, "max_tokens": 900}

    def test_a_writer_that_drips(self):
        for start in (b"GET /health HTTP/1.1\r\nx: ", request(ROUTE, b"", Content_Length=1000)):
            wire = self.wire()
            wire.send(start)
            wire.socket.settimeout(0.1)
            # Each byte comes long before a time-out of its own would, and still the whole has one.
            with contextlib.suppress(ConnectionError):
                while not wire.bytes:
                    wire.send(b"a")
                    with contextlib.suppress(TimeoutError):
                        wire.more()
            wire.socket.settimeout(START_S)
            self.refused(wire.answer(), 408, "in time")
            self.assertTrue(wire.ended())

    def test_a_reader_that_does_not_read(self):
        before = self.live.metric("quern_cancellations_total", cause="client_gone")
        stuck = self.wire(receive_bytes=4096)
        stuck.ask(ROUTE, body_of(stream=True, **self.wordy))
        self.live.wait(lambda: running(self.live), START_S, "the stream does not start")
        texts = {complete(self.live, max_tokens=50)["choices"][0]["text"] for _ in range(5)}
        self.assertEqual(len(texts), 1)
        self.live.wait(lambda: self.live.metric("quern_cancellations_total", cause="client_gone") > before, START_S,
                       "a client that reads nothing is not cut")

    def test_a_reader_that_pauses_loses_nothing(self):
        wire = self.wire(receive_bytes=4096)
        events = wire.stream(ROUTE, body_of(**self.wordy))
        texts = [""] * 8
        for i, data in enumerate(events):
            if i in (0, 2000):
                time.sleep(0.6)  # the request is paused meanwhile, in less than the time for a client to be cut
            if data != "[DONE]":
                for choice in json.loads(data)["choices"]:
                    texts[choice["index"]] += choice["text"]
        whole = complete(self.live, **self.wordy)
        self.assertEqual(texts, [choice["text"] for choice in whole["choices"]])

    def test_half_closed_sockets(self):
        whole = complete(self.live, max_tokens=300)["choices"][0]["text"]
        wire = self.wire()
        wire.ask(ROUTE, body_of(max_tokens=300))
        wire.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(wire.answer().json()["choices"][0]["text"], whole)
        self.assertTrue(wire.ended())
        wire = self.wire()
        events = wire.stream(ROUTE, body_of(max_tokens=300))
        first = next(events)
        wire.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(joined([first, *events])[0], whole)
        self.assertTrue(wire.ended())
        for part in (b"", b"GET ", request(ROUTE, body_of())[:-5]):
            wire = self.wire()
            wire.send(part)
            wire.socket.shutdown(socket.SHUT_WR)
            self.assertTrue(wire.ended())
            self.assertNotIn(b" 200 ", wire.bytes)

    def test_thousands_of_idle_connections(self):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        n = min(5000, most - 1000)
        if n < 5000:
            print(f"{n} instead of 5,000 idle connections: this system allows {most} files")
        url = self.live.url.removeprefix("http://").split(":")
        with contextlib.ExitStack() as idle:
            for i in range(n):
                client = idle.enter_context(socket.create_connection((url[0], int(url[1])), START_S))
                if i % 2:
                    client.send(b"GET / HT")  # as idle, in the middle of a header
            self.live.wait(lambda: self.live.metric("quern_http_connections") > n / 2, START_S, "they do not connect")
            self.assertEqual(len(complete(self.live, max_tokens=50)["choices"][0]["text"]), 50)
        self.live.wait(lambda: self.live.metric("quern_http_connections") < 50, START_S, "connections are left")


class Deaths(WireCase):
    flags = {"n_parallel": 2, "n_batch": 16, "n_threads": 1}

    @classmethod
    def models(cls):
        return [slow()]

    def dies(self, reach, times=3):
        """A client reaches a phase and is gone, by a reset and by an ordinary end; each time nothing is left."""
        for i in range(times):
            with Wire(self.live) as wire:
                reach(wire)
                if i % 2 == 0:
                    wire.reset()
            check_clean(self.live)

    def test_while_it_connects(self):
        self.dies(lambda wire: None, times=10)

    def test_in_the_header(self):
        self.dies(lambda wire: wire.send(b"POST /v1/completions HTTP/1.1\r\nHos"))

    def test_in_the_body(self):
        self.dies(lambda wire: wire.send(request(ROUTE, body_of(text_of(500)))[:-100]))

    def test_before_the_answer(self):
        self.dies(lambda wire: wire.send(request(ROUTE, body_of(text_of(500)))), times=10)

    def test_in_the_queue(self):
        ahead = [self.wire() for _ in range(2)]
        for wire in ahead:
            self.assertTrue(next(wire.stream(ROUTE, body_of(**ENDLESS))))
        for i in range(4):
            with Wire(self.live) as wire:
                wire.ask(ROUTE, body_of(text_of(100, i), stream=bool(i % 2)))
                self.live.wait(lambda: waiting(self.live) == 1, START_S, "it does not wait")
                if i < 2:
                    wire.reset()
            self.live.wait(lambda: waiting(self.live) == 0, START_S, "it waits on")
        for wire in ahead:
            wire.reset()

    def test_while_the_prompt_is_read(self):
        def reach(wire):
            wire.ask(ROUTE, body_of(text_of(8000, seed=reach.seed)))
            reach.seed += 1
            self.live.wait(lambda: running(self.live) == 1, START_S, "it does not run")

        reach.seed = 1
        self.dies(reach)

    def test_in_the_stream(self):
        def reach(wire):
            events = wire.stream(ROUTE, body_of(**ENDLESS))
            self.assertTrue([next(events) for _ in range(5)])

        self.dies(reach)

    def test_with_several_samples(self):
        def reach(wire):
            events = wire.stream(ROUTE, body_of(n=2, **ENDLESS))
            self.assertTrue([next(events) for _ in range(7)])

        self.dies(reach)

    def test_just_before_the_end(self):
        def reach(wire):
            events = wire.stream(ROUTE, body_of(max_tokens=20))
            self.assertTrue([next(events) for _ in range(19)])

        self.dies(reach, times=6)

    def test_all_at_once(self):
        def live_shortly(seed):
            for i in range(6):
                with Wire(self.live) as wire:
                    data = request(ROUTE, body_of(text_of(300, seed), stream=bool(i % 2), n=1 + i % 2, **ENDLESS))
                    wire.send(data[:len(data) * (i + 1) // 6])
                    time.sleep(0.01 * i)
                    if seed % 2:
                        wire.reset()

        clients = [threading.Thread(target=live_shortly, args=(seed,)) for seed in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        self.assertEqual(len(complete(self.live, max_tokens=10)["choices"][0]["text"]), 10)


class Disk(unittest.TestCase):
    """Folders of kept prefixes that fail. What a prompt gives must not depend on it."""

    prompt = text_of(1500)

    @classmethod
    def setUpClass(cls):
        with Live([slow()]) as live:
            cls.text = cls.answer(live)[0]

    def setUp(self):
        self.folder = FOLDER / f"kv-{self.id()}"
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    @classmethod
    def answer(cls, live):
        answer = complete(live, cls.prompt, max_tokens=20)
        return answer["choices"][0]["text"], answer["usage"]["prompt_tokens_details"]["cached_tokens"]

    def server(self, **settings):
        return Live([slow()], kv_dir=self.folder, **settings)

    def restored(self, live):
        return live.metric("quern_kv_disk_pages_total", kind="restored")

    def written(self, live):
        return live.metric("quern_kv_disk_pages_total", kind="written")

    def fill(self):
        with self.server() as live:
            self.assertEqual(self.answer(live), (self.text, 0))
            live.wait(lambda: self.written(live) >= 1500 // 64, START_S, "the prefix is not written")
            check_clean(live)

    def degraded(self, live):
        health = live.json("/health")
        return health["status"] == "degraded" and health.get("reason")

    def test_a_restart_restores(self):
        self.fill()
        with self.server() as live:
            text, cached = self.answer(live)
            self.assertEqual((text, cached), (self.text, 1500 // 64 * 64))
            check_clean(live)

    def test_damaged_snapshots(self):
        self.fill()
        files = sorted(self.folder.rglob("*.qkv"))
        self.assertGreater(len(files), 4)
        for i, path in enumerate(files):
            data = bytearray(path.read_bytes())
            if i % 4 == 0:
                data[len(data) // 2] ^= 1
            elif i % 4 == 1:
                data = data[:len(data) // 3]
            elif i % 4 == 2:
                data[i % 64] ^= 0x80
            else:
                data = bytearray()
            path.write_bytes(data)
        with self.server() as live:
            text, cached = self.answer(live)
            self.assertEqual((text, cached), (self.text, 0))
            self.assertGreaterEqual(live.metric("quern_kv_disk_errors_total"), 1)
            self.assertTrue(self.degraded(live))
            check_clean(live)

    def test_a_full_disk(self):
        # Beyond this size writing fails, as it does on a disk without room; a page is larger.
        limit = 16 << 10
        with self.server(popen={"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))}) as live:
            self.assertEqual(self.answer(live), (self.text, 0))
            live.wait(lambda: live.metric("quern_kv_disk_errors_total") >= 1, START_S, "no error is counted")
            self.assertIn(str(self.folder), self.degraded(live))
            self.assertEqual(self.answer(live)[0], self.text)
            check_clean(live)
        self.assertEqual([path for path in self.folder.rglob("*") if path.is_file() and path.stat().st_size > 0], [])

    def test_a_folder_that_vanishes(self):
        with self.server() as live:
            shutil.rmtree(self.folder)
            self.folder.write_text("a file in its place")
            self.assertEqual(self.answer(live), (self.text, 0))
            live.wait(lambda: live.metric("quern_kv_disk_errors_total") >= 1, START_S, "no error is counted")
            self.assertTrue(self.degraded(live))
            check_clean(live)
        self.folder.unlink()

    def test_a_kill_in_the_middle_of_a_prompt(self):
        prompt = text_of(8000)
        with Live([slow()], n_threads=1) as live:
            fresh = complete(live, prompt, max_tokens=20)["choices"][0]["text"]
        killed = self.server(n_threads=1, n_batch=32).__enter__()
        with Wire(killed) as wire:
            wire.ask(ROUTE, body_of(prompt))
            killed.wait(lambda: self.written(killed) >= 8, START_S, "nothing is written while the prompt is read")
            self.assertEqual(running(killed), 1)
            killed.kill()
            with self.assertRaises((Closed, ValueError)):
                wire.answer()
        with self.server() as live:
            answer = complete(live, prompt, max_tokens=20)
            self.assertGreaterEqual(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 512)
            self.assertEqual(answer["choices"][0]["text"], fresh)
            check_clean(live)


class Signals(unittest.TestCase):
    def streams(self, live, stack, n, **settings):
        """So many streams that have begun."""
        all_events = []
        for i in range(n):
            events = stack.enter_context(Wire(live)).stream(ROUTE, body_of(text_of(50, i), **settings))
            all_events.append((next(events), events))
        return all_events

    def test_a_drain_lets_streams_end(self):
        with Live([slow()], drain_timeout=60, n_parallel=8) as live, contextlib.ExitStack() as stack:
            streams = self.streams(live, stack, 8, max_tokens=400)
            queued = stack.enter_context(Wire(live))
            queued.ask(ROUTE, body_of(max_tokens=5))
            live.wait(lambda: waiting(live) == 1, START_S, "it does not wait")
            idle = stack.enter_context(Wire(live))
            live.process.send_signal(signal.SIGTERM)
            self.assertTrue(idle.ended())
            with contextlib.suppress(ConnectionError), Wire(live) as late:
                late.ask("/health")
                with contextlib.suppress(Closed):
                    self.assertEqual(late.answer().status, 503)
            for first, events in streams:
                text, reason = joined([first, *events])
                self.assertEqual((len(text), reason), (400, "length"))
            self.assertEqual(len(queued.answer().json()["choices"][0]["text"]), 5)
            self.assertEqual(live.process.wait(START_S), 0)

    def test_a_drain_has_an_end(self):
        with Live([slow()], drain_timeout=0.2) as live, contextlib.ExitStack() as stack:
            streams = self.streams(live, stack, 4, **ENDLESS)
            whole = stack.enter_context(Wire(live))
            whole.ask(ROUTE, body_of(**ENDLESS))
            live.wait(lambda: running(live) == 5, START_S, "it does not run")
            live.process.send_signal(signal.SIGTERM)
            for _, events in streams:
                *_, last = events  # the stream is whole, and says what happened
                self.assertIn("error", json.loads(last))
            self.assertEqual(whole.answer().status, 503)
            self.assertEqual(live.process.wait(START_S), 0)

    def test_a_second_signal_ends_at_once(self):
        with Live([slow()], drain_timeout=3600) as live, contextlib.ExitStack() as stack:
            [(_, events)] = self.streams(live, stack, 1, **ENDLESS)
            live.process.send_signal(signal.SIGTERM)
            live.wait(lambda: "draining" in live.log(), START_S, "it does not drain")
            live.process.send_signal(signal.SIGTERM)
            *_, last = events
            self.assertIn("error", json.loads(last))
            self.assertEqual(live.process.wait(START_S), 0)

    def test_a_signal_while_clients_do_everything(self):
        for delay in (0, 0.03):
            with Live([slow()], drain_timeout=0.1, n_parallel=2) as live, contextlib.ExitStack() as stack:
                for i in range(24):
                    wire = stack.enter_context(Wire(live))
                    data = request(ROUTE, body_of(text_of(400, i), stream=bool(i % 2), **ENDLESS))
                    wire.send(data[:len(data) * (1 + i % 4) // 4])
                time.sleep(delay)
                live.process.send_signal(signal.SIGTERM)
                self.assertEqual(live.process.wait(START_S), 0)


if __name__ == "__main__":
    unittest.main()
