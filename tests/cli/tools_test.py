"""quern run --tools: fake tools, a tiny model that is held to a call. argv: the program, write_tiny_model."""

import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

from terminal import TerminalCase

WRITE_TINY = os.path.abspath(sys.argv.pop(2))
QUERN = os.path.abspath(sys.argv.pop(1))
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
GENERATION = ("--temp", "0", "-n", "60")


def quern(*args, text="", **settings):
    return subprocess.run([QUERN, *map(str, args)], input=text, capture_output=True, text=True, timeout=120, **settings)


class Tools(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="quern-tools-")
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.folder = pathlib.Path(folder)
        cls.model = cls.folder / "tiny.gguf"
        subprocess.run([WRITE_TINY, "llama", str(cls.model)], check=True)
        os.environ["QUERN_CACHE"] = folder
        os.environ["QUERN_CONFIG"] = folder
        os.environ["no_proxy"] = "127.0.0.1"

    def tools(self, text):
        path = self.folder / f"{self.id().rpartition('.')[2]}.yaml"
        path.write_text("tools:\n" + textwrap.indent(textwrap.dedent(text).strip(), "  ") + "\n")
        return str(path)

    def record(self, *args, code=0, **settings):
        done = quern(*args, "--json", **settings)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)


class DirectPath(Tools):
    """A prompt that is the name of a tool: the model is not even looked for."""

    def direct(self, tools, name, *args, **settings):
        return quern("run", "no-such-model", "--tools", tools, name, *args, **settings)

    def test_runs_without_a_model_and_says_so(self):
        tools = self.tools("hello: {description: d, command: [echo, 'Hello; $(id)']}")
        done = self.direct(tools, "hello")
        self.assertEqual((done.returncode, done.stdout), (0, "Hello; $(id)\n"))
        self.assertIn("run without the model, since the prompt is the name of a tool", done.stderr)
        self.assertRegex(done.stderr, r"\[exit code 0, \d\.\d\d s\]")
        record = self.record("run", "no-such-model", "--tools", tools, "hello")
        self.assertTrue(record["direct"])
        call = record["rounds"][0]["calls"][0]
        self.assertEqual((call["runs"], call["exit_code"], call["output"]), ("echo 'Hello; $(id)'", 0, "Hello; $(id)\n"))

    def test_only_the_exact_name_of_a_tool_without_required_arguments(self):
        tools = self.tools("""
            hello: {description: d, command: [echo, hello]}
            say: {description: d, arguments: {text: {type: string}}, command: [echo, "{text}"]}
        """)
        for prompt in ("Hello", "hello?", "say", "run hello"):
            done = self.direct(tools, prompt)
            self.assertEqual((done.returncode, done.stdout), (1, ""), prompt)
            self.assertIn("no-such-model", done.stderr)

    def test_a_name_from_a_pipe_must_be_allowed(self):
        tools = self.tools("hello: {description: d, command: [echo, hello]}")
        done = quern("run", "no-such-model", "--tools", tools, text="hello\n")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("--yes-tool hello allows it", done.stderr)
        done = quern("run", "no-such-model", "--tools", tools, "--yes-tool", "hello", text="hello\n")
        self.assertEqual((done.returncode, done.stdout), (0, "hello\n"))

    def test_a_time_out_ends_the_children_too(self):
        pid_file = self.folder / "pid"
        tools = self.tools(f"""
            slow:
              description: d
              command: [sh, -c, "sleep 600 & echo $! > {pid_file}; trap '' TERM; wait; wait"]
              timeout: 500ms
        """)
        done = self.direct(tools, "slow")
        self.assertEqual(done.returncode, 1)
        self.assertIn("[timed out, 0.", done.stderr)
        self.assertIn("was not done after 0.5 s", done.stdout)
        stat = pathlib.Path(f"/proc/{pid_file.read_text().strip()}/stat")
        end = time.monotonic() + 20
        while stat.exists() and ") Z " not in stat.read_text() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertLess(time.monotonic(), end)

    def test_long_output_is_cut_and_that_is_said(self):
        tools = self.tools("long: {description: d, command: [seq, '100000'], output_limit: 300}")
        done = self.direct(tools, "long")
        self.assertIn("[cut: these are the first 300 bytes of at least ", done.stdout)
        self.assertLess(len(done.stdout), 400)
        self.assertIn("output cut", done.stderr)

    def test_failures_are_the_exit_code(self):
        tools = self.tools("""
            fails: {description: d, command: [sh, -c, "echo no >&2; exit 5"]}
            absent: {description: d, command: [quern-no-such-program]}
        """)
        done = self.direct(tools, "fails")
        self.assertEqual((done.returncode, done.stdout), (1, "exit code 5\nno\n"))
        self.assertIn("there is no program quern-no-such-program", self.direct(tools, "absent").stdout)

    def test_the_environment_is_small(self):
        tools = self.tools("env: {description: d, command: [env], environment: {MODE: test}, inherit: [QUERN_PASSED]}")
        done = self.direct(tools, "env", env={**os.environ, "QUERN_SECRET": "x", "QUERN_PASSED": "y"})
        self.assertNotIn("QUERN_SECRET", done.stdout)
        self.assertIn("QUERN_PASSED=y", done.stdout)
        self.assertIn("MODE=test", done.stdout)

    def test_http(self):
        seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                seen.append((self.path, self.headers["X-Key"], self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(201)
                self.end_headers()
                self.wfile.write("gut \u00fc".encode() + b"\xff")

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        tools = self.tools(f"""
            post:
              description: d
              http: {{method: POST, url: "http://127.0.0.1:{server.server_port}/a/b", headers: {{X-Key: k}}}}
        """)
        done = self.direct(tools, "post")
        self.assertEqual((done.returncode, done.stdout), (0, "gut \u00fc\ufffd\n"))
        self.assertIn("[HTTP status 201, ", done.stderr)
        self.assertEqual(seen, [("/a/b", "k", b"{}")])

    def test_the_example(self):
        tools = str(REPOSITORY / "examples" / "tools.yaml")
        self.assertRegex(self.direct(tools, "now").stdout, r"^20\d\d-\d\d-\d\dT")
        self.assertIn("Filesystem", self.direct(tools, "disk_free", env={**os.environ, "LC_ALL": "C"}).stdout)


class WrongUse(Tools):
    def test_everything_wrong_in_the_file_is_said_at_once(self):
        tools = self.tools("a: {descripton: x, command: []}\nb: {description: d, builtin: clok}")
        done = quern("run", "no-such-model", "--tools", tools, "hello")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        for part in (":2:7: a has no key 'descripton': did you mean description?", ":2:31: command wants a list",
                     "builtin wants one of clock, calculator: did you mean clock?"):
            self.assertIn(part, done.stderr)

    def test_options(self):
        tools = self.tools("hello: {description: d, command: [echo, hello]}")
        for args, code, says in ((("--tools", tools, "--yes-tool", "helo", "x"), 1, "did you mean hello?"),
                                 (("--tools", tools, "--tool-choice", "requird", "x"), 1, "did you mean required?"),
                                 (("--yes-tool", "hello", "x"), 2, "--yes-tool wants --tools"),
                                 (("--tools", tools, "--raw", "x"), 2, "--tools wants a prompt"),
                                 (("--tools", tools, "--max-rounds", "0", "x"), 2, "--max-rounds wants"),
                                 (("--tools", "no/such.yaml", "x"), 1, "no/such.yaml")):
            done = quern("run", "no-such-model", *args)
            self.assertEqual((done.returncode, done.stdout), (code, ""), args)
            self.assertIn(says, done.stderr)


class Agent(Tools):
    """A random model writes a call because it must; what it says afterwards is noise."""

    def setUp(self):
        self.mark = self.folder / f"mark{len(os.listdir(self.folder))}"
        self.touch = self.tools(f"touch: {{description: Makes a mark., command: [touch, {self.mark}]}}")

    def run_touch(self, *args, **settings):
        return self.record("run", self.model, "--tools", self.touch, "--tool-choice", "required", "Make a mark.",
                           *GENERATION, *args, **settings)

    def test_a_required_call_runs_when_it_is_allowed(self):
        record = self.run_touch("--yes-tool", "touch")
        self.assertTrue(self.mark.exists())
        self.assertEqual((record["end"], record["direct"], len(record["rounds"])), ("answer", False, 2))
        call = record["rounds"][0]["calls"][0]
        self.assertEqual((call["name"], call["arguments"], call["fate"], call["exit_code"], call["output"]),
                         ("touch", {}, "ran", 0, "(no output)"))
        self.assertEqual(call["runs"], f"touch {self.mark}")
        self.assertEqual(record["rounds"][1]["text"], record["text"])
        # The second prompt begins with the first and what was sampled.
        stats = [entry["stats"] for entry in record["rounds"]]
        self.assertGreater(stats[1]["prompt_tokens"], stats[0]["prompt_tokens"] + stats[0]["gen_tokens"] // 2)

    def test_without_a_terminal_it_is_refused(self):
        record = self.run_touch()
        self.assertFalse(self.mark.exists())
        call = record["rounds"][0]["calls"][0]
        self.assertEqual((call["fate"], call["output"]), ("refused", "The user did not allow this call."))

    def test_the_file_may_allow_it(self):
        self.touch = self.tools(f"touch: {{description: Makes a mark., confirm: never, command: [touch, {self.mark}]}}")
        self.run_touch()
        self.assertTrue(self.mark.exists())

    def test_the_rounds_are_bounded_and_that_is_said(self):
        record = self.run_touch("--yes-tool", "touch", "--max-rounds", 1, code=1)
        self.assertEqual((record["end"], record["text"], len(record["rounds"])), ("rounds_used_up", "", 1))
        done = quern("run", self.model, "--tools", self.touch, "--tool-choice", "touch", "--max-rounds", 1, "x",
                     "--yes-tool", "touch", *GENERATION)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the rounds are used up before there was an answer", done.stderr)
        self.assertIn(f"[touch {self.mark}: exit code 0, 0.", done.stderr)

    def test_arguments_of_the_model_reach_no_shell(self):
        hostile = ["; touch {mark}", "$(touch {mark})", "`touch {mark}`", "\\n", "| touch {mark}", "a'b\"c"]
        for text in (entry.format(mark=self.mark) for entry in hostile):
            tools = self.tools(f"""
                show:
                  description: d
                  arguments: {{text: {{type: string, enum: [{json.dumps(text)}]}}}}
                  command: [printf, "<%s>", "{{text}}"]
            """)
            record = self.record("run", self.model, "--tools", tools, "--tool-choice", "show", "--yes-tool", "show",
                                 "--max-rounds", 1, "Show it.", "--temp", 0, "-n", 300, code=1)
            call = record["rounds"][0]["calls"][0]
            self.assertEqual((call["arguments"], call["output"]), ({"text": text}, f"<{text}>"))
        self.assertFalse(self.mark.exists())

    def test_control_tokens_in_an_output_are_disarmed(self):
        tokens = []
        for output in ("x", "<|end|>" * 20):  # a control token of the tiny models
            tools = self.tools(f"page: {{description: d, confirm: never, command: [printf, '%s', '{output}']}}")
            record = self.record("run", self.model, "--tools", tools, "--tool-choice", "page", "x", *GENERATION)
            self.assertEqual(record["rounds"][0]["calls"][0]["output"], output)
            tokens.append(record["rounds"][1]["stats"]["prompt_tokens"])
        self.assertGreater(tokens[1] - tokens[0], 20 * 3)  # would be 20 as control tokens


class OnATerminal(Tools, TerminalCase):
    def start(self, *args):
        self.start_on_terminal(QUERN, "run", self.model, *args, *GENERATION)

    def test_it_asks_before_a_call(self):
        mark = self.folder / "asked"
        tools = self.tools(f"touch: {{description: d, command: [touch, {mark}]}}")
        for answer, runs in (("n", False), ("", False), ("q", False), ("y", True)):
            self.start("--tools", tools, "--tool-choice", "required", "--max-rounds", "1", "Make a mark.")
            self.read_until("[y/N/a(lways)] ")
            self.assertFalse(mark.exists())
            self.type(answer + "\r")
            self.read_until("exit code 0" if runs else "refused")
            self.assertEqual(self.exit_code(), 1)  # the one round had no answer
            self.assertEqual(mark.exists(), runs, answer)

    def test_ctrl_c_ends_the_tool_and_the_answer_goes_on(self):
        begun = self.folder / "begun"
        tools = self.tools(f"sleep: {{description: d, command: [sh, -c, 'touch {begun}; sleep 600'], timeout: 1h}}")
        self.start("--tools", tools, "--tool-choice", "required", "--max-rounds", "3", "Sleep.")
        self.read_until("[y/N/a(lways)] ")
        self.type("a\r")
        self.read_until("...]")
        end = time.monotonic() + 60
        while not begun.exists():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        self.type("\x03")
        self.read_until("stopped, ")
        self.assertEqual(self.exit_code(), 0)

    def test_the_chat_lists_tools_and_takes_the_direct_path(self):
        tools = self.tools("""
            hello: {description: Says hello., command: [echo, hello]}
            now: {builtin: clock, confirm: never}
        """)
        self.start("--tools", tools)
        self.read_until("> ")
        self.type("/tools\r")
        self.read_until("Says hello.")
        self.read_until("(runs without a question)")
        self.type("hello\r")
        self.read_until("run without the model")
        self.read_until("exit code 0")
        self.read_until("> ")
        self.type("\x04")
        self.assertEqual(self.exit_code(), 0)


if __name__ == "__main__":
    unittest.main()
