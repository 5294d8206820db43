"""Runs a program and says what it printed, how long it took and how much memory it held at most."""

import dataclasses
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

POLL_S = 0.005


def say(text):
    print(text, file=sys.stderr, flush=True)


@dataclasses.dataclass
class Memory:
    """In bytes, of one process: the most it ever held, by the kernel's own record, and the two parts of what it held
    while it worked, medians over the last quarter of its time: loading is over by then, and taking down lasts no time."""
    peak: int = 0
    anonymous: int = 0
    file: int = 0  # mapped files and shared memory


@dataclasses.dataclass
class Done:
    out: str
    seconds: float  # from the start of the process to its end
    memory: Memory


def parse_status(text):
    """(VmHWM, RssAnon, RssFile + RssShmem) in bytes of /proc/<pid>/status; zeros where a process is gone."""
    found = {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.M)}
    return found.get("VmHWM", 0), found.get("RssAnon", 0), found.get("RssFile", 0) + found.get("RssShmem", 0)


def watch(process):
    """Until the process has ended; sets its return code."""
    memory, parts = Memory(), []
    while True:
        try:
            with open(f"/proc/{process.pid}/status") as file:
                peak, anonymous, mapped = parse_status(file.read())
        except OSError:
            peak = anonymous = mapped = 0
        memory.peak = max(memory.peak, peak)
        if anonymous + mapped:
            parts.append((anonymous, mapped))
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            break
        time.sleep(POLL_S)
    memory.peak = max(memory.peak, usage.ru_maxrss * 1024)
    if parts:
        last = zip(*parts[len(parts) * 3 // 4:])
        memory.anonymous, memory.file = (int(statistics.median(part)) for part in last)
    return memory


def run_watched(command, env=None):
    """Runs to the end while looking at the memory of the process; ends this script where the program fails."""
    command = [str(part) for part in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env)
        memory = watch(process)
        seconds = time.monotonic() - start
        out.seek(0)
        err.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed ({process.returncode}):\n{err.read().decode(errors='replace').strip()}")
        return Done(out.read().decode(errors="replace"), seconds, memory)


def run(command, env=None):
    """What the program printed."""
    command = [str(part) for part in command]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed ({done.returncode}):\n{done.stderr.strip()}")
    return done.stdout
