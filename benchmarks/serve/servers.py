"""The two servers as processes: started, waited for, watched, ended."""

import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """Subclasses give `name`, command(port) and environment()."""
    host = "127.0.0.1"

    def start(self):
        self.port = free_port()
        self.log = tempfile.NamedTemporaryFile(prefix=f"{self.name}-", suffix=".log")
        self.process = subprocess.Popen([str(part) for part in self.command(self.port)], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, env=self.environment())
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {pathlib.Path(self.log.name).read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(f"http://{self.host}:{self.port}/health", timeout=1) as answer:
                    if answer.status == 200:
                        return self
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} is not healthy after 120 s")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def resident(self):
        """Bytes, without pages of files, which the kernel takes back when it wants to."""
        with open(f"/proc/{self.process.pid}/status") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
        return 0


class Quern(Server):
    name = "quern"

    def __init__(self, program, model, flags=()):
        self.program, self.model, self.flags = program, model, list(flags)

    def command(self, port):
        return [self.program, "serve", self.model, "--port", port, "--log", "none", *self.flags]

    def environment(self):
        return dict(os.environ)


class LlamaServer(Server):
    """`slots` contexts of `context` tokens each. Flash attention, prompt cache and continuous batching are its defaults
    or are switched on here."""
    name = "llama-server"

    def __init__(self, llama, model, slots, context=2048, threads=None):
        self.llama, self.model, self.slots, self.context = llama, model, slots, context
        self.threads = threads or len(os.sched_getaffinity(0))

    def command(self, port):
        return [self.llama.programs / "llama-server", "-m", self.model, "--port", port, "-np", self.slots,
                "-c", self.slots * self.context, "-t", self.threads, "-tb", self.threads, "-fa", "on", "--no-webui"]

    def environment(self):
        return self.llama.environment
