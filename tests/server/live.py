"""`quern serve` as a process, for tests that talk to it as a client does.

    with Live(models=[tiny()], n_parallel=4) as live:
        client = openai.OpenAI(base_url=live.url + "/v1", api_key="none")

Leaving the block asks the server to end (SIGTERM), if it has not, and fails unless it drained, exited with 0, gave back
every slot, and no sanitizer complained. Its log is shown when the block fails. The programs are named by the caller's command line:
script.py QUERN WRITE_TINY_MODEL [unittest's own]; importing this module takes them off.
"""

import atexit
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

QUERN, WRITE_TINY = os.path.abspath(sys.argv.pop(1)), os.path.abspath(sys.argv.pop(1))
START_S, DRAIN_S = 60, 30  # the latter also with sanitizers on a busy machine
SANITIZER = re.compile(r"runtime error:|(ERROR|WARNING): (Address|Leak|Thread|UndefinedBehavior)Sanitizer")
LISTENING = re.compile(rb"^quern: listening on (https?://\S+)$", re.MULTILINE)

FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="quern-serve-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def tiny(name="llama", file="tiny"):
    """The path of a made-up model of 261 tokens and 1,024 positions."""
    path = FOLDER / f"{file}.gguf"
    if not path.exists():
        subprocess.run([WRITE_TINY, name, path], check=True)
    return path


def tiny_caller():
    """A tiny model whose template (calls.jinja) knows tools, as Hermes' does, and thinking; it has 4,096 positions."""
    path = FOLDER / "caller.gguf"
    if not path.exists():
        data = tiny().read_bytes()
        at = data.index(b"llama.context_length") + len(b"llama.context_length") + 4  # the type
        data = data[:at] + struct.pack("<I", 4096) + data[at + 4:]
        at = data.index(b"tokenizer.chat_template") + len(b"tokenizer.chat_template") + 4
        size, = struct.unpack_from("<Q", data, at)
        template = (pathlib.Path(__file__).parent / "calls.jinja").read_bytes()
        # The tensors behind stay where they are, to 32 bytes.
        template += b"{#" + b" " * ((size - len(template) - 4) % 32) + b"#}"
        path.write_bytes(data[:at] + struct.pack("<Q", len(template)) + template + data[at + 8 + size:])
    return path


def environment(cache, **extra):
    """Nothing of the user's: no cache, no configuration, no proxies between us and the loopback."""
    env = {name: value for name, value in os.environ.items()
           if not name.lower().endswith("_proxy") and not name.startswith(("HF_", "QUERN_", "OPENAI_", "OLLAMA_"))}
    return {**env, "QUERN_CACHE": str(cache), "QUERN_CONFIG": str(cache), **extra}


class Live:
    """One server. `flags` are options of `quern serve`: n_parallel=4 is --n-parallel=4, ollama_api=True a bare flag.
    `config` is the text of a quern.yaml, `env` more of its environment, `popen` goes to subprocess.Popen."""

    def __init__(self, models, config=None, env=None, popen=None, **flags):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=FOLDER))
        self.cache = self.folder / "cache"
        self.cache.mkdir()
        self.command = [QUERN, "serve", *map(str, models), "--port", "0"]
        if config is not None:
            (self.folder / "quern.yaml").write_text(config)
            self.command += ["--config", str(self.folder / "quern.yaml")]
        for name, value in flags.items():
            self.command.append("--" + name.replace("_", "-") + ("" if value is True else f"={value}"))
        self.env = environment(self.cache, **(env or {}))
        self.popen = popen or {}
        self.log_path = self.folder / "log.txt"

    def __enter__(self):
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                                            **self.popen)
        try:
            self.url = self.wait(self.listening, START_S, "it does not listen")
            self.wait(lambda: self.status("/ready") == 200, START_S, "/ready does not become 200")
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind, error, _):
        if error is not None:
            print(f"--- the server's log:\n{self.log()}", file=sys.stderr)
            self.kill()
            return
        try:
            if self.process.poll() is None:
                self.wait(lambda: self.slots_used() == 0, DRAIN_S, "a slot is still in use")
            code = self.stop()
        finally:
            self.kill()
        self.check(code == 0, f"it exited with {code}")

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            self.check(False, f"it has not ended {DRAIN_S} s after SIGTERM")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def check(self, good, what):
        log = self.log()
        if not good or SANITIZER.search(log):
            raise AssertionError(f"{' '.join(self.command)}: {what if not good else 'a sanitizer complains'}\n{log}")

    def listening(self):
        found = LISTENING.search(self.log_path.read_bytes())
        return found[1].decode() if found else None

    def wait(self, ready, seconds, what):
        """Polls until ready() is true and returns what it gave; fails when the server ends or time is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check(self.process.poll() is None, f"it exited with {self.process.poll()}")
            value = ready()
            if value:
                return value
            time.sleep(0.01)
        self.check(False, what)

    def request(self, path, body=None, method=None, headers=None):
        """(status, headers, bytes) of a plain request; a body that is no bytes goes as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **(headers or {})},
                                         method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=START_S) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def status(self, path):
        return self.request(path)[0]

    def json(self, path, body=None, **settings):
        status, _, data = self.request(path, body, **settings)
        self.check(status == 200, f"{path} answered {status}: {data[:500]!r}")
        return json.loads(data)

    def metric(self, name, **labels):
        """The sum of a metric's samples that have these labels; fails where /metrics has none of that name."""
        status, _, text = self.request("/metrics")
        self.check(status == 200, f"/metrics answered {status}")
        samples = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text.decode(), re.MULTILINE)
        self.check(samples, f"/metrics has no {name}")
        return sum(float(value) for marks, value in samples
                   if all(f'{key}="{wanted}"' in marks for key, wanted in labels.items()))

    def slots_used(self):
        return self.metric("quern_slots_used")


class LiveCase(unittest.TestCase):
    """Tests that share one server: `models` and `flags` of the class; it ends, checked, with the class."""

    flags = {}

    @classmethod
    def models(cls):
        return [tiny()]

    @classmethod
    def setUpClass(cls):
        cls.live = Live(cls.models(), **cls.flags)
        cls.enterClassContext(cls.live)


class CallerCase(LiveCase):
    """On a model whose template knows tools."""
    flags = {"n_parallel": 4}

    @classmethod
    def models(cls):
        return [tiny_caller()]


def bearer(key):
    return {"Authorization": f"Bearer {key}"}
