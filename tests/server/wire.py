"""HTTP by hand, for what no client library does: broken, slow, half and abandoned requests; and how a server shows that
it has got over them."""

import contextlib
import json
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import sys
import urllib.parse

from live import DRAIN_S, FOLDER, START_S, LiveCase

WRITE_SYNTHETIC = str(pathlib.Path(sys.argv.pop(1)).absolute())
LETTERS = {str(ord(c)): 60 for c in "abcdefghijklmnopqrstuvwxyz"}  # made-up models then write letters, without an end


def slow():
    """The path of a made-up model of 8,192 positions whose steps take long enough to be met halfway."""
    path = FOLDER / "slow.gguf"
    if not path.exists():
        shape = "layers=4 width=256 heads=8 kv_heads=2 head_dim=32 ffn=1024 vocab=512 context=8192"
        subprocess.run([WRITE_SYNTHETIC, path, "q8_0", *shape.split()], check=True)
    return path


def text_of(n, seed=0):
    """A prompt of n tokens: digits are never merged. Texts of different seeds have no prefix in common."""
    return (f"{seed:04}"[::-1] + "".join(f"{i:05}" for i in range(n // 5 + 1)))[:n]


def body_of(prompt="0123", **settings):
    return {"model": "default", "prompt": prompt, "temperature": 0, "logit_bias": LETTERS, "max_tokens": 8, **settings}


def complete(live, prompt="0123", headers=None, **settings):
    return live.json("/v1/completions", body_of(prompt, **settings), headers=headers)


class Closed(Exception):
    """The connection ended where an answer might have begun."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Wire:
    """One connection. What comes back is held to HTTP's grammar: anything else is a ValueError."""

    def __init__(self, live, receive_bytes=None, context=None):
        url = urllib.parse.urlsplit(live.url)
        self.live, self.bytes = live, b""
        plain = socket.socket()
        if receive_bytes:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        plain.settimeout(START_S)
        try:
            plain.connect((url.hostname, url.port))
            self.socket = context.wrap_socket(plain, server_hostname="localhost") if context else plain
        except OSError:
            plain.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def reset(self):
        """Ends the connection as the death of a machine's program does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def ask(self, path, body=None, method=None, **headers):
        self.send(request(path, body, method, **headers))

    def more(self):
        try:
            data = self.socket.recv(1 << 16)
        except (ConnectionError, ssl.SSLError):
            data = b""
        self.bytes += data
        return bool(data)

    def until(self, mark):
        while mark not in self.bytes:
            if not self.more():
                raise Closed if not self.bytes else ValueError(f"cut off: {self.bytes[-200:]!r}")
        head, self.bytes = self.bytes.split(mark, 1)
        return head

    def exactly(self, n):
        while len(self.bytes) < n:
            if not self.more():
                raise ValueError(f"{len(self.bytes)} of {n} bytes came")
        data, self.bytes = self.bytes[:n], self.bytes[n:]
        return data

    def head(self):
        """The status and headers of the next answer that is not interim; Closed when there is none."""
        lines = self.until(b"\r\n\r\n").split(b"\r\n")
        status = re.fullmatch(rb"HTTP/1\.1 ([1-5]\d\d) [ -~]*", lines[0])
        fields = [re.fullmatch(rb"([!#$%&'*+.^_`|~\w-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*", line) for line in lines[1:]]
        if not status or not all(fields):
            raise ValueError(f"not an answer's head: {lines!r}")
        if status[1] == b"100":
            return self.head()
        return int(status[1]), {field[1].decode().lower(): field[2].decode("latin-1") for field in fields}

    def chunk(self):
        size = int(self.until(b"\r\n"), 16)
        data = self.exactly(size)
        if self.exactly(2) != b"\r\n":
            raise ValueError("a chunk is longer than it says")
        return data

    def chunks(self):
        while data := self.chunk():
            yield data

    def answer(self, method="GET"):
        status, headers = self.head()
        if method == "HEAD" or status in (204, 304):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, b"".join(self.chunks()))
        return Answer(status, headers, self.exactly(int(headers["content-length"])))

    def events(self):
        """The data of a stream's events, after its head."""
        rest = b""
        for data in self.chunks():
            *whole, rest = (rest + data).split(b"\n\n")
            for event in whole:
                yield "\n".join(line.removeprefix("data: ") for line in event.decode().split("\n"))

    def stream(self, path, body, **headers):
        """Begins one and gives its events; fails unless it is answered 200."""
        self.ask(path, {**body, "stream": True}, **headers)
        status, _ = self.head()
        if status != 200:
            raise AssertionError(f"{path} answered {status}")
        return self.events()

    def ended(self):
        """Whether the server ends the connection, after at most some more bytes."""
        with contextlib.suppress(TimeoutError):
            while self.more():
                pass
            return True
        return False


def request(path, body=None, method=None, **headers):
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Host": "localhost", "Content-Length": len(data), **{k.replace("_", "-"): v for k, v in headers.items()}}
    lines = [f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + data


def models_of(live, headers=None):
    return live.json("/health", headers=headers)["models"]


def busy(live):
    """What of the models is in use."""
    return [(m["name"], m["running"], m["waiting"], m["pages_used"]) for m in models_of(live)
            if m["running"] or m["waiting"] or m["pages_used"]]


def running(live):
    return sum(m["running"] for m in models_of(live))


def waiting(live):
    return sum(m["waiting"] for m in models_of(live))


def check_clean(live):
    """Fails unless the server lives, answers, and has given back every slot and every page."""
    live.wait(lambda: not busy(live), DRAIN_S, f"a slot or a page is still in use: {busy(live)}")
    live.wait(lambda: live.metric("quern_http_requests_in_flight") == 1, DRAIN_S, "a request is still in flight")


class WireCase(LiveCase):
    """Tests that share a server, and leave nothing behind in it."""

    def tearDown(self):
        check_clean(self.live)

    def wire(self, **settings):
        return self.enterContext(Wire(self.live, **settings))

    def ask(self, path, body=None, method=None, **headers):
        with Wire(self.live) as wire:
            wire.ask(path, body, method, **headers)
            return wire.answer(method)

    def refused(self, answer, status, *words):
        self.assertEqual(answer.status, status, answer.body)
        message = answer.json()["error"]
        message = message["message"] if isinstance(message, dict) else message
        for word in words:
            self.assertRegex(message, word)


