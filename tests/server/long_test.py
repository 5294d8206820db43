"""What only shows after a while: ten thousand random requests (three thousand under sanitizers), and a conversation of twenty turns."""

import json
import os
import random
import re
import unittest

from wire import Closed, Wire, WireCase, check_clean, complete, request, slow, text_of

from live import Live, tiny

REQUESTS, SEED = (3_000 if os.environ.get("QUERN_SANITIZED") else 10_000), 20261121
DIGITS = {str(ord(c)): 60 for c in "0123456789"}  # what the made-up model writes is read again as the same tokens


class RandomRequests(WireCase):
    flags = {"max_body_mb": 1, "allow_pull": "catalogue", "n_parallel": 8, "max_waiting": 8, "log": "none"}

    @classmethod
    def models(cls):
        return [tiny()]

    def setUp(self):
        self.random = random.Random(SEED)
        self.routes = [(method.upper(), path, self.members(operation))
                       for path, operations in self.live.json("/openapi.json")["paths"].items()
                       for method, operation in operations.items()
                       if path != "/api/pull"]  # asks other servers

    @staticmethod
    def members(operation):
        content = operation.get("requestBody", {}).get("content", {})
        return content.get("application/json", {}).get("schema", {}).get("properties", {})

    def text(self):
        kinds = ("hello", "", "default", "tiny", "a" * self.random.randrange(2000), "\0\x1f\x7f", "é\U0001f600\u2028",
                 "<|end|><|bos|>", "{{ 1 }}", "../../etc/passwd", "5m", "%s%n", "user", "system", "float")
        return self.random.choice(kinds)

    def value(self, depth=0):
        pick = self.random.randrange(12 if depth < 3 else 8)
        if pick < 3:
            return self.text()
        if pick < 6:
            return self.random.choice((0, 1, 2, -1, 3, 0.5, 1e9, -0.0, 2**31, 2**63, 10**25, 1e300, 256))
        if pick < 8:
            return self.random.choice((None, True, False))
        if pick < 10:
            return [self.value(depth + 1) for _ in range(self.random.randrange(5))]
        return {self.random.choice(("role", "content", "type", "text", "x")): self.value(depth + 1) for _ in range(3)}

    def good(self, name, schema):
        """A value as the schema has it, or nearly."""
        if name in ("model", "name"):
            return self.random.choice(("default", "default", "tiny", "nobody"))
        if name == "messages":
            return [{"role": self.random.choice(("user", "assistant", "system", "x")), "content": self.text()}]
        if name in ("prompt", "content", "input", "text"):
            return self.random.choice((self.text(), [self.random.randrange(300) for _ in range(5)]))
        kinds = schema.get("type", "string")
        kind = kinds[0] if isinstance(kinds, list) else kinds
        low, high = max(schema.get("minimum", 0), -9), min(schema.get("maximum", 9), 9)
        return {"boolean": self.random.random() < 0.5, "integer": self.random.randint(int(low), int(max(low, high))),
                "number": self.random.uniform(low, max(low, high)), "array": [], "object": {}}.get(kind, self.text())

    def body(self, members):
        pick = self.random.random()
        if pick < 0.1 or not members:
            return self.random.randbytes(self.random.randrange(100))
        body = {}
        for name, schema in members.items():
            if name in ("prompt", "messages", "input", "content", "model", "tokens") or self.random.random() < 0.15:
                body[name] = self.value() if self.random.random() < 0.1 else self.good(name, schema)
        for name in ("max_tokens", "max_output_tokens"):
            if name in members:
                body[name] = self.random.choice((1, 2, 4))
        if "options" in members:
            body["options"] = {"num_predict": self.random.choice((1, 2, 4)), "top_k": self.value()}
        if pick < 0.2:
            body[self.text()] = self.value()
        data = json.dumps(body).encode()
        if pick < 0.9:
            return data
        cut = self.random.randrange(len(data))
        return self.random.choice((data[:cut], data[:cut] + b"\xff" + data[cut:], data * 2, data.replace(b":", b"", 1)))

    def request(self):
        """The method and bytes of one, and whether the server may want to end the connection after it."""
        method, path, members = self.random.choice(self.routes)
        path = re.sub("{.*?}", lambda _: self.random.choice(("tiny", "default", "%00", "%2e%2e", "a%20b", "%ff")), path)
        pick = self.random.random()
        if pick < 0.05:
            method = self.random.choice(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW", "get"))
        elif pick < 0.1:
            path = self.random.choice(("/", "//", "/v1", "/v1/../health", "/%", "/health?x=%zz&y", "/api/chat/", "*",
                                       "/" + "a" * 9000, "http://x/health"))
        body = self.body(members) if method in ("POST", "PUT", "PATCH", "DELETE") else None
        headers = {}
        if self.random.random() < 0.1:
            name = self.random.choice(("X_Quern_Deadline", "X_Quern_Priority", "Origin", "Expect", "Accept", "Content_Type",
                                       "Authorization", "Connection", "Upgrade", "Content_Encoding", "Range", "Last_Event_ID"))
            headers[name] = self.random.choice(("", "1", "close", "100-continue", "Bearer x", "websocket", "\xff" * 9, "a" * 500))
        return method, request(path, body, method, **headers)

    def test_ten_thousand(self):
        wire, codes = Wire(self.live), {}
        for i in range(REQUESTS):
            method, data = self.request()
            try:
                wire.send(data)
                answer = wire.answer(method)
            except (Closed, ConnectionError):
                codes["closed"] = codes.get("closed", 0) + 1
                answer = None
            except ValueError as error:
                self.fail(f"request {i} of seed {SEED}: {data[:2000]!r}: {error}")
            if answer:
                codes[answer.status] = codes.get(answer.status, 0) + 1
                good = answer.status < 500 or answer.status in (501, 503, 504)
                self.assertTrue(good, f"request {i} of seed {SEED}: {data[:2000]!r} was answered {answer.status} {answer.body}")
                if answer.body and answer.headers.get("content-type") == "application/json":
                    answer.json()
            if answer is None or answer.headers.get("connection") == "close":
                wire.socket.close()
                wire = Wire(self.live)
        wire.socket.close()
        self.assertGreater(codes.get(200, 0), REQUESTS // 10, codes)
        self.assertGreater(codes.get(400, 0), REQUESTS // 10, codes)
        self.assertLess(codes.get("closed", 0), REQUESTS // 50, codes)


class Conversation(unittest.TestCase):
    def test_twenty_turns(self):
        """4,000 tokens; each turn computes what is new and no more than a page of what was."""
        with Live([slow()], n_parallel=4) as live:
            messages, before = [], 0
            for turn in range(20):
                messages.append({"role": "user", "content": text_of(100, turn)})
                computed = live.metric("quern_computed_tokens_total", phase="prompt")
                answer = live.json("/v1/chat/completions", {"model": "default", "messages": messages, "max_tokens": 90,
                                                            "temperature": 0, "logit_bias": DIGITS})
                messages.append(answer["choices"][0]["message"])
                usage = answer["usage"]
                cached = usage["prompt_tokens_details"]["cached_tokens"]
                self.assertEqual(usage["completion_tokens"], 90)
                if turn:
                    self.assertGreaterEqual(cached, before - 64, f"turn {turn}")
                    self.assertLessEqual(usage["prompt_tokens"] - cached, 250, f"turn {turn}")
                    self.assertEqual(live.metric("quern_computed_tokens_total", phase="prompt") - computed,
                                     usage["prompt_tokens"] - cached)
                before = usage["total_tokens"]
            self.assertGreater(before, 4000)
            # The same text as of a server that computes the whole at once.
            live.wait(lambda: live.slots_used() == 0, 30, "a slot is still in use")
            check_clean(live)
        with Live([slow()], prefix_cache="none") as live:
            again = live.json("/v1/chat/completions", {"model": "default", "messages": messages[:-1], "max_tokens": 90,
                                                       "temperature": 0, "logit_bias": DIGITS})
            self.assertEqual(again["choices"][0]["message"]["content"], messages[-1]["content"])
            self.assertEqual(again["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
            self.assertEqual(complete(live)["usage"]["prompt_tokens_details"]["cached_tokens"], 0)


if __name__ == "__main__":
    unittest.main()
