"""run, logits, perplexity and bench on a tiny model. argv: the program, write_tiny_model."""

import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from terminal import WAIT_S, TerminalCase

WRITE_TINY = os.path.abspath(sys.argv.pop(2))
QUERN = os.path.abspath(sys.argv.pop(1))
USER_CACHE = os.environ.get("QUERN_CACHE")
SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared"
GREEDY = ("--raw", "--temp", "0")


def quern(*args, text="", **settings):
    return subprocess.run([QUERN, *map(str, args)], input=text, capture_output=True, text=True, timeout=120, **settings)


class TinyModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="quern-generate-")
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.folder = pathlib.Path(folder)
        cls.model = cls.folder / "tiny.gguf"
        subprocess.run([WRITE_TINY, "llama", str(cls.model)], check=True)
        os.environ["QUERN_CACHE"] = folder
        os.environ["QUERN_CONFIG"] = folder
        os.environ.pop("QUERN_ISA", None)

    def succeeds(self, *args, **settings):
        done = quern(*args, **settings)
        self.assertEqual(done.returncode, 0, (args, done.stderr))
        return done

    def object(self, *args, **settings):
        return json.loads(self.succeeds(*args, "--json", **settings).stdout)

    def refused(self, *args, code=2, says="", **settings):
        done = quern(*args, **settings)
        self.assertEqual((done.returncode, done.stdout), (code, ""), (args, done.stderr))
        self.assertIn(says, done.stderr)


class Run(TinyModel):
    def test_json(self):
        out = self.object("run", self.model, "abc", "-n", 12, "--ignore-eos", *GREEDY)
        self.assertEqual(set(out), {"text", "ids", "stats"})
        self.assertEqual(len(out["ids"]), 12)
        stats = out["stats"]
        self.assertEqual(set(stats), {"load_s", "ttft_s", "prompt_tokens", "prompt_tps", "gen_tokens", "gen_tps", "limit_tps",
                                      "limit_share", "peak_rss_bytes", "weight_bytes", "weights",
                                      "kv_bytes_per_token", "isa", "threads", "stop_reason"})
        self.assertEqual((stats["gen_tokens"], stats["stop_reason"]), (12, "max_tokens"))
        for name in ("load_s", "ttft_s", "prompt_tps", "gen_tps", "limit_tps", "limit_share"):
            self.assertGreater(stats[name], 0, name)
        self.assertAlmostEqual(stats["limit_share"], stats["gen_tps"] / stats["limit_tps"], places=9)
        self.assertGreater(stats["peak_rss_bytes"], 1 << 20)

    def test_prompts_by_argument_pipe_and_ids_are_the_same(self):
        args = ("-n", 8, "--ignore-eos", *GREEDY)
        by_argument = self.object("run", self.model, "some text", *args)
        by_pipe = self.object("run", self.model, *args, text="some text\n")
        ids = json.loads(quern("tokenize", self.model, "some text", "--add-special", "--json").stdout)["ids"]
        by_ids = self.object("run", self.model, "--prompt-ids", ",".join(map(str, ids)), *args)
        self.assertEqual(by_argument["ids"], by_pipe["ids"])
        self.assertEqual(by_argument["ids"], by_ids["ids"])
        self.assertEqual(by_ids["stats"]["prompt_tokens"], len(ids))

    def test_greedy_is_the_argmax_of_logits(self):
        first = self.object("run", self.model, "abc", "-n", 1, "--ignore-eos", *GREEDY)["ids"]
        self.assertEqual(first[0], self.object("logits", self.model, "--prompt", "abc", "--top", 1)["top"][0][0])

    def test_the_same_for_threads_and_isa(self):
        args = ("run", self.model, "abc", "-n", 24, "--ignore-eos", "--raw", "--seed", 7)
        expected = self.object(*args)["ids"]
        self.assertEqual(self.object(*args, "--threads", 2, "--batch", 1)["ids"], expected)
        scalar = self.object(*args, "--isa", "ref")
        self.assertEqual((scalar["ids"], scalar["stats"]["isa"]), (expected, "ref"))
        self.assertNotEqual(self.object(*args[:-1], 8)["ids"], expected)

    def test_the_template_is_rendered(self):
        rendered = self.object("run", self.model, "abc", "-n", 1)["stats"]["prompt_tokens"]
        context = self.folder / "context.json"
        context.write_text(json.dumps({"messages": [{"role": "user", "content": "abc"}], "add_generation_prompt": True}))
        text = self.succeeds("template", self.model, context).stdout
        ids = json.loads(quern("tokenize", self.model, text, "--json").stdout)["ids"]
        self.assertIn(rendered, (len(ids), len(ids) + 1))  # with BOS where the template has none
        longer = self.object("run", self.model, "abc", "-n", 1, "--system", "be brief")["stats"]["prompt_tokens"]
        self.assertGreater(longer, rendered)

    def test_samples_and_logprobs(self):
        out = self.object("run", self.model, "abc", "-n", 5, "--raw", "--ignore-eos", "--samples", 3, "--logprobs", 2)
        self.assertEqual(len(out["samples"]), 3)
        self.assertEqual(out["samples"][0]["ids"], out["ids"])
        self.assertNotEqual(out["samples"][1]["ids"], out["ids"])
        self.assertEqual([entry["id"] for entry in out["logprobs"]], out["ids"])
        for entry in out["logprobs"]:
            self.assertEqual(len(entry["top"]), 2)
            self.assertLessEqual(entry["logprob"], 0)
        self.assertEqual(out["stats"]["gen_tokens"], 15)

    def test_sampling_options_take_effect(self):
        args = ("run", self.model, "abc", "-n", 6, "--ignore-eos", *GREEDY)
        first = self.object(*args)["ids"][0]
        self.assertNotIn(first, self.object(*args, "--logit-bias", f"{first}-inf")["ids"])
        self.assertEqual(self.object(*args, "--logit-bias", "9+1e9")["ids"], [9] * 6)
        repeated = self.object(*args, "--logit-bias", "9+30", "--presence-penalty", 100)["ids"]
        self.assertEqual(repeated.count(9), 1)

    def test_stop(self):
        args = ("run", self.model, "abc", "-n", 40, "--ignore-eos", *GREEDY)
        text = self.object(*args)["text"]
        stop = next(character for character in text if character.isprintable())
        out = self.object(*args, "--stop", stop)
        self.assertEqual((out["text"], out["stats"]["stop_reason"]), (text[:text.index(stop)], "stop_string"))

    def test_text_on_standard_output_and_figures_beside(self):
        out = self.object("run", self.model, "abc", "-n", 9, "--ignore-eos", *GREEDY)
        done = subprocess.run([QUERN, "run", self.model, "abc", "-n", "9", "--ignore-eos", *GREEDY], capture_output=True)
        self.assertEqual(done.stdout.decode(errors="replace").rstrip("\n"), out["text"].rstrip("\n"))
        self.assertRegex(done.stderr.decode(), r"9 tokens, [\d.]+ tok/s \(\d+ % of the \d+ that memory allows\), "
                                               r"first token [\d.]+ s, prompt \d+ tok at \d+ tok/s; ended by --max-tokens")

    def test_profile(self):
        args = ("run", self.model, "abc", "-n", 12, "--ignore-eos", *GREEDY)
        out = self.object(*args, "--profile=layers")
        self.assertEqual(out["ids"], self.object(*args)["ids"])
        self.assertEqual((out["profile"]["decode"]["steps"], out["profile"]["prompt"]["tokens"]),
                         (11, out["stats"]["prompt_tokens"]))
        for phase in out["profile"].values():
            for table in (phase["operations"], phase["layers"]):
                self.assertAlmostEqual(sum(line["share_of_time"] for line in table), 1, places=6)
                self.assertAlmostEqual(sum(line["seconds"] for line in table), phase["seconds"], places=6)
            self.assertLessEqual({"attn.qkv", "attention", "ffn.down", "sampling", "text", "outside the backend"},
                                 {line["name"] for line in phase["operations"]})
            self.assertEqual([line["name"] for line in phase["layers"]][:3], ["layer 0", "layer 1", "layer 2"])
        done = self.succeeds(*args, "--profile", errors="replace")
        tables = done.stderr.split("operation ")[1:]
        self.assertEqual(len(tables), 2)
        for table in tables:
            lines = [line[22:].split() for line in table.splitlines()[1:] if re.match(r".{22} +(\d+|-) ", line)]
            self.assertEqual(lines[-1][2], "100.0")
            self.assertAlmostEqual(sum(float(line[2]) for line in lines[:-1]), 100, places=6)
        self.assertNotIn("layer 0", done.stderr)
        self.refused("run", self.model, "x", "--profile=x", says="--profile wants one of ops, layers")
        self.refused("bench", "kernels", "--profile", "--allow-debug", says="--profile wants a model")

    def test_refusals(self):
        self.refused("run", self.model, "x", "--prompt-ids", "1", says="either PROMPT or --prompt-ids")
        self.refused("run", self.model, "x", "--raw", "--system", "y", says="--system")
        self.refused("run", self.model, "x", "--logprobs", 1, says="--json only")
        for bias in ("1", "1+", "x+1", "-1+1", "1+nan", "1+-1", "1+1x"):
            self.refused("run", self.model, "x", f"--logit-bias={bias}", says="--logit-bias wants")
        self.refused("run", self.model, "x", "--prompt-ids", code=2, says="--prompt-ids")
        self.refused("run", self.model, "--prompt-ids", "999999", code=1, says="vocabulary")
        self.refused("run", self.model, "x" * 5000, "--raw", "--ctx", 64, code=1, says="the context holds 64")
        self.refused("run", self.model, "x", "--ctx", 1 << 20, code=1, says="context")
        self.refused("run", self.folder / "none.gguf", "x", code=1, says="none.gguf")

    def test_an_unknown_isa_is_refused_with_those_known(self):
        for settings in ({"env": {**os.environ, "QUERN_ISA": "avx9"}}, {}):
            args = () if settings else ("--isa", "avx9")
            for command in (("run", self.model, "x"), ("bench", "kernels", "--allow-debug")):
                done = quern(*command, *args, **settings)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, r"instruction set avx9 cannot run here; this build has .*ref")


class Logits(TinyModel):
    def test_json(self):
        out = self.object("logits", self.model, "--ids", "1,2,3", "--top", 1000)
        self.assertEqual(out["ids"], [1, 2, 3])
        values = [value for _, value in out["top"]]
        self.assertEqual(values, sorted(values, reverse=True))
        self.assertEqual(len({id for id, _ in out["top"]}), len(out["top"]))
        self.assertAlmostEqual(sum(math.exp(value) for value in values), 1, places=6)
        self.assertEqual(self.object("logits", self.model, "--ids", "1,2,3")["top"], out["top"][:20])

    def test_text(self):
        lines = self.succeeds("logits", self.model, "--prompt", "abc", "--top", 3).stdout.splitlines()
        self.assertEqual(len(lines), 3)
        self.refused("logits", self.model, says="either --prompt or --ids")
        self.refused("logits", self.model, "--prompt", "a", "--ids", "1", says="either --prompt or --ids")


class Perplexity(TinyModel):
    def test_is_that_of_the_logits(self):
        text = self.folder / "text.txt"
        text.write_text("The quick brown fox jumps over the lazy dog. " * 20)
        out = self.object("perplexity", self.model, text, "--ctx", 16, "--chunks", 2)
        self.assertAlmostEqual(out["perplexity"], math.exp(out["nll"]), places=6)
        self.assertEqual(out["tokens"], 2 * 7)
        ids = json.loads(quern("tokenize", self.model, "--file", text, "--add-special", "--no-parse-special",
                               "--json").stdout)["ids"]
        start = json.loads(quern("tokenize", self.model, "", "--add-special", "--json").stdout)["ids"][:1]
        total = 0
        for chunk in (ids[:16], ids[16:32]):
            chunk = (start or chunk[:1]) + chunk[1:]
            for position in range(8, 15):
                top = self.object("logits", self.model, "--ids", ",".join(map(str, chunk[:position + 1])), "--top", 100000)
                total -= dict(top["top"])[chunk[position + 1]]
        self.assertAlmostEqual(out["nll"], total / 14, places=9)

    def test_refusals(self):
        short = self.folder / "short.txt"
        short.write_text("few words")
        self.refused("perplexity", self.model, short, code=1, says="512")
        self.refused("perplexity", self.model, self.folder / "absent", code=1, says="absent")


class Bench(TinyModel):
    def test_rows(self):
        out = self.object("bench", self.model, "-p", "16,0", "-n", 4, "-d", "0,32", "-b", "1,2", "-t", "1,2", "-r", 2,
                          "--allow-debug")
        rows = out["results"]
        self.assertEqual(len(rows), 2 * 2 * 2 * 2)
        for row in rows:
            self.assertEqual(set(row), {"n_prompt", "n_gen", "depth", "batch", "threads", "tokens_per_second", "stddev",
                                        "limit_tps", "limit_share", "read_bytes_per_s", "int_macs_per_s"})
            self.assertIn((row["n_prompt"], row["n_gen"]), ((16, 0), (0, 4)))
            self.assertGreater(row["tokens_per_second"], 0)
            self.assertAlmostEqual(row["limit_share"], row["tokens_per_second"] / row["limit_tps"], places=9)
        self.assertEqual(len({(r["n_gen"], r["depth"], r["batch"], r["threads"]) for r in rows}), 16)
        for key in ("cpu", "cores", "isa", "compiler", "limits"):
            self.assertTrue(out["machine"][key], key)
        again = self.object("bench", self.model, "-p", 0, "-n", 1, "-r", 1, "--isa", "ref", "--allow-debug", "--profile")
        self.assertEqual(again["results"][0]["profile"]["decode"]["steps"], 1)
        self.assertEqual(again["model"]["logits_hash"], out["model"]["logits_hash"])

    def test_kernels(self):
        out = self.object("bench", "kernels", "--allow-debug")
        matmuls = [row for row in out["results"] if row["kernel"] == "matmul"]
        self.assertEqual({row["rows"] for row in matmuls}, {1, 64})
        self.assertGreaterEqual({row["format"] for row in matmuls}, {"f32", "q4_0", "q4_k", "q6_k", "mxfp4"})
        self.assertGreaterEqual({row["kernel"] for row in out["results"]},
                                {"matmul", "attention_page", "rms_norm", "silu_mul", "quantize_panel"})
        for row in out["results"]:
            self.assertGreater(row["gb_per_s"], 0)
            self.assertGreater(row["gop_per_s"], 0)
            self.assertEqual(row["limit_share"] is None, row["bound"] == "cache")

    def test_limits_are_kept_and_made_fresh(self):
        limits = self.folder / "limits.json"
        args = ("bench", self.model, "-p", 0, "-n", 1, "-r", 1, "-t", 1, "--allow-debug")
        self.object(*args)
        kept = json.loads(limits.read_text())
        for entry in kept.values():
            entry.update({"int_macs_per_s": 1e18, "float_macs_per_s": 1.0})
        limits.write_text(json.dumps(kept))
        figures = self.object(*args)["machine"]["limits"][0]
        self.assertEqual(figures["int_macs_per_s"], 1e18)  # the greater one stays
        self.assertGreater(figures["float_macs_per_s"], 1e6)
        self.assertLess(self.object(*args, "--fresh")["machine"]["limits"][0]["int_macs_per_s"], 1e18)
        limits.write_text("{ torn")
        self.assertGreater(self.object(*args)["machine"]["limits"][0]["int_macs_per_s"], 12345.0)

    def test_limits_now_leaves_those_that_are_kept(self):
        limits = self.folder / "limits.json"
        args = ("bench", self.model, "-p", 4, "-n", 1, "-r", 1, "-t", 1, "--allow-debug")
        self.object(*args)
        kept = json.loads(limits.read_text())
        for entry in kept.values():
            entry.update({"int_macs_per_s": 1e18, "read_bytes_per_s": 1e18})
        limits.write_text(json.dumps(kept))
        for row in self.object(*args, "--limits-now")["results"]:
            self.assertLess(max(row["int_macs_per_s"], row["read_bytes_per_s"]), 1e18)
        self.assertEqual(json.loads(limits.read_text()), kept)
        limits.unlink()

    def test_bars_are_shares(self):
        text = self.succeeds("bench", self.model, "-p", 0, "-n", 2, "-d", "0,16", "-r", 1, "--allow-debug").stdout
        bars = re.findall(r"^generate .* ([0-9.]+) %  ?(#*>?)$", text, re.M)
        self.assertEqual(len(bars), 2, text)
        for share, bar in bars:
            if float(share) > 100:
                self.assertEqual(bar, "#" * 19 + ">")
            else:
                self.assertAlmostEqual(len(bar), float(share) / 5, delta=0.51)

    def test_refusals(self):
        self.refused("bench", self.model, "-d", 1 << 20, "--json", "--allow-debug", code=1, says="need a context of")


class Chat(TinyModel, TerminalCase):
    """On a pseudo terminal."""

    def start(self, *args):
        self.start_on_terminal(QUERN, "run", self.model, *args)

    def test_turns_commands_and_history(self):
        self.start("--temp", "0", "-n", "4", "--ignore-eos")
        self.read_until("/help lists the commands.")
        self.read_until("> ")
        self.type("h\u00e9llo\n")
        self.read_until("[4 tokens")
        self.assertNotIn("were known", self.read_until("]"))
        self.type("again\n")
        self.assertIn("more were known", self.read_until("; ended by"))  # the first turn is not read again
        self.type("/nonsense\n")
        self.read_until("no command /nonsense")
        self.type("/help\n")
        self.read_until("forget the conversation")
        self.type("/clear\n/exit\n")
        self.assertEqual(self.exit_code(), 0)
        self.assertIn("again", (self.folder / "history").read_text())

        self.start("--temp", "0", "-n", "1")
        self.read_until("> ")
        self.type("\x1b[A")
        self.read_until("/exit")  # from the run before
        self.type("\n")
        self.assertEqual(self.exit_code(), 0)

    def test_ctrl_c_ends_the_answer_not_the_chat(self):
        self.start("--raw", "--ignore-eos", "-n", "100000", "--isa", "ref")  # slow enough to be met in the middle
        self.read_until("> ")
        self.type("go\n")
        until = time.monotonic() + WAIT_S
        while len(self.output) < 100:  # far more than the echo: the answer has begun
            self.assertTrue(self.read_more(until, "no answer"))
        self.type("\x03")
        self.read_until("; stopped]")
        self.read_until("> ")
        self.type("x")
        self.read_until("x")  # else the terminal may drop it with all input before the Ctrl-C
        self.type("\x03")  # clears the line
        self.read_until("> ")
        self.type("\x03")
        self.assertEqual(self.exit_code(), 0)

    def test_ctrl_c_at_the_prompt_asks_once(self):
        self.start()
        self.read_until("> ")
        self.type("\x03")
        self.read_until("Ctrl-C again leaves.")
        self.read_until("> ")
        self.type("\x04")
        self.assertEqual(self.exit_code(), 0)

    def test_options_that_want_a_prompt(self):
        self.start("--json")
        self.read_until("--json wants a prompt")
        self.assertEqual(self.exit_code(), 2)


class RealModel(unittest.TestCase):
    """SmolLM2 from the user's cache folder, where it is."""

    @classmethod
    def setUpClass(cls):
        cls.environment = {name: value for name, value in os.environ.items() if name != "QUERN_CACHE"}
        if USER_CACHE:
            cls.environment["QUERN_CACHE"] = USER_CACHE
        rows = json.loads(quern("list", "--json", env=cls.environment).stdout)["models"]
        if not any("smollm2:135m" in (row["name"], *row["aliases"]) and row["present"] for row in rows):
            raise unittest.SkipTest("smollm2:135m is not here: quern pull fetches it")

    def object(self, *args):
        # The user's cache folder is read, not filled.
        done = quern(*args, "--json", "--no-pack-cache", env=self.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_knows_the_capital_of_france(self):
        prompt = "The capital of France is"
        self.assertTrue(self.object("run", "smollm2:135m", prompt, "-n", 4, *GREEDY)["text"].startswith(" Paris"))
        chat = self.object("run", "smollm2:135m", "Say hi in one sentence.", "-n", 100, "--temp", 0)
        self.assertEqual(chat["stats"]["stop_reason"], "end_of_text")
        self.assertNotIn("<|im_end|>", chat["text"])

    @unittest.skipIf(os.environ.get("QUERN_SANITIZED"), "a minute of code that the tests above run too")
    def test_perplexity_is_near_the_reference(self):
        text = SHARED / "data" / "text" / "wikitext2-test.txt"
        if not text.exists():
            self.skipTest("no shared data beside the project")
        out = self.object("perplexity", "smollm2:135m", text, "--ctx", 512, "--chunks", 4)
        self.assertEqual(out["tokens"], 4 * 255)
        self.assertLess(abs(out["perplexity"] / 18.552 - 1), 0.007)


if __name__ == "__main__":
    unittest.main()
