"""A program on a pseudo terminal: what is typed, what it shows, how it ends. Every wait has an end."""

import os
import pty
import select
import signal
import time
import unittest

WAIT_S = 60


class TerminalCase(unittest.TestCase):
    def start_on_terminal(self, *args):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execv(args[0], [str(arg) for arg in args])
        self.output = b""
        self.addCleanup(os.close, self.terminal)
        self.addCleanup(self.end)

    def end(self):
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def read_more(self, until, missing):
        """False at the other end's closing."""
        ready = select.select([self.terminal], [], [], max(0, until - time.monotonic()))[0]
        self.assertTrue(ready, f"{missing} in {self.output!r}")
        try:
            data = os.read(self.terminal, 65536)
        except OSError:
            return False
        self.output += data
        return bool(data)

    def read_until(self, text):
        """What stands before `text`; the rest is left to be read."""
        until = time.monotonic() + WAIT_S
        while text.encode() not in self.output:
            self.assertTrue(self.read_more(until, f"no {text!r}"), f"it ended without {text!r}: {self.output!r}")
        before, _, self.output = self.output.partition(text.encode())
        return before.decode(errors="replace")

    def type(self, text):
        """Ctrl-D and Ctrl-C only behind the prompt: before it the terminal is in line mode, which takes them itself."""
        os.write(self.terminal, text.encode())

    def exit_code(self):
        """Of the program, once it has ended."""
        until = time.monotonic() + WAIT_S
        while self.read_more(until, "still running"):
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = None
        return code
