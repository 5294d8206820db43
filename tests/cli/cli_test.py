"""The command line's manners: help, exit codes, messages, bounds of every option. argv[1] is the program."""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

QUERN = os.path.abspath(sys.argv.pop(1))
LONG = "x" * 100_000


def quern(*args, **settings):
    settings.setdefault("stdin", subprocess.DEVNULL)
    settings.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([QUERN, *args], stderr=subprocess.PIPE, text=True, timeout=60, **settings)


def commands():
    text = quern("--help").stdout
    section = text.split("\nCommands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in section.splitlines()]


def description(command):
    return json.loads(quern(command, "--help", "--json").stdout)


def takes_many(command):
    return any(o.get("positional") and o["type"] == "strings" for o in description(command)["options"])


class CliCase(unittest.TestCase):
    def setUp(self):
        cache = tempfile.mkdtemp(prefix="quern-cli-")
        self.addCleanup(shutil.rmtree, cache)
        self.cache = pathlib.Path(cache)
        os.environ["QUERN_CACHE"] = cache

    def refused(self, *args, code=2, says=""):
        done = quern(*args)
        self.assertEqual(done.returncode, code, (args, done.stderr))
        self.assertEqual(done.stdout, "")
        self.assertTrue(done.stderr.startswith("quern: "), done.stderr)
        self.assertIn(says, done.stderr)
        return done


class Program(CliCase):
    def test_help_and_version(self):
        self.assertEqual(quern("--help").returncode, 0)
        self.assertEqual(quern("-h").stdout, quern("--help").stdout)
        self.assertRegex(quern("--version").stdout, r"^quern \d+\.\d+\.\d+\n$")
        bare = quern()
        self.assertEqual((bare.returncode, bare.stdout), (2, ""))
        self.assertIn("Usage:", bare.stderr)

    def test_unknown_command(self):
        self.refused("lsit", says="did you mean list?")
        self.refused("--jsn", says="no command")
        self.assertNotIn("mean", self.refused("xxxxxxxxxx").stderr)
        self.assertNotIn("mean", self.refused(LONG).stderr)
        self.refused("x\x1b[31m", says="x\\x1b[31m")
        self.refused("", says="no command ''")

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w") as full:
            done = quern("list", stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertIn("could not be written", done.stderr)


class EveryCommand(CliCase):
    def test_help_has_usage_options_and_examples(self):
        self.assertGreaterEqual(len(commands()), 3)
        for command in commands():
            with self.subTest(command):
                done = quern(command, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                for part in (f"Usage: quern {command}", "\nOptions:\n", f"\nExamples:\n  quern {command}"):
                    self.assertIn(part, done.stdout)
                self.assertEqual(quern(command, "-h").stdout, done.stdout)
                self.assertEqual(description(command)["command"], command)
                for option in description(command)["options"]:
                    self.assertIn(option["help"], done.stdout)

    def test_every_option_is_in_the_table_once(self):
        for command in commands():
            flags = [name for option in description(command)["options"] for name in option["flag"].split(",")]
            self.assertEqual(len(flags), len(set(flags)), command)

    def test_unknown_options_and_arguments(self):
        for command in commands():
            with self.subTest(command):
                self.refused(command, "--no-such-option", says="--no-such-option")
                self.refused(command, "--hlep")
                if not takes_many(command):
                    self.refused(command, *["surplus"] * 9, says="one argument too many: 'surplus'")
        self.refused("pull", "default", "--vreify", says="did you mean --verify?")
        self.refused("list", "--json=x", says="a flag takes no value")
        self.refused("pull", "default", "--retries", says="--retries wants a value")
        self.refused("pull", "default", "--retries=1", "--retries", "2", says="--retries is given 2 times")

    def test_after_two_dashes_all_are_arguments(self):
        self.refused("rm", "--yes", "--", "--json", code=1, says="'--json'")
        self.refused("rm", "--yes", "--", "--help", code=1, says="'--help'")
        self.refused("rm", "--yes", "--", "a", "--")

    def test_arguments_that_are_missing(self):
        for command in commands():
            if any(option["required"] for option in description(command)["options"]):
                self.refused(command, says="is missing")

    def test_bounds(self):
        for command in commands():
            for option in description(command)["options"]:
                if option["positional"]:
                    continue
                flag = option["flag"].split(",")[-1]
                with self.subTest(f"{command} {flag}"):
                    for value in self.wrong_values(option):
                        # The program reads every argument before it judges one, so the required ones must be there.
                        needed = ["x" for other in description(command)["options"]
                                  if other["positional"] and other["required"]]
                        self.refused(command, *needed, f"{flag}={value}", says=flag)

    @staticmethod
    def wrong_values(option):
        if option["type"].startswith(("integer", "number")):
            yield from ("x", "", "1x", "nan", "0x10", " 1", "99999999999999999999999999", "1,,2")
            if "min" in option:
                yield repr(option["min"] - 1)
            if "max" in option:
                yield repr(option["max"] + 1)
        if option["type"].startswith("integer"):
            yield "1.5"
        if "choices" in option:
            yield "no such choice"

    def test_defaults_are_within_bounds(self):
        for command in commands():
            for option in description(command)["options"]:
                value = option["default"]
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    self.assertGreaterEqual(value, option.get("min", value), option)
                    self.assertLessEqual(value, option.get("max", value), option)


class List(CliCase):
    def test_an_empty_cache(self):
        listed = json.loads(quern("list", "--json").stdout)
        self.assertEqual(listed["folder"], str(self.cache / "models"))
        rows = {row["name"]: row for row in listed["models"]}
        self.assertEqual(rows["smollm2:135m"]["aliases"], ["default"])
        self.assertFalse(any(row["present"] for row in listed["models"]))
        self.assertIn("quern pull smollm2:135m", quern("list").stdout)

    def test_other_models(self):
        (self.cache / "models" / "folder").mkdir(parents=True)
        (self.cache / "models" / "folder" / "x\udc80.gguf").write_bytes(b"GGUF")  # a name that is no UTF-8
        (self.cache / "models" / "note.txt").write_bytes(b"")
        rows = json.loads(quern("list", "--json").stdout)["models"]
        self.assertEqual([row["name"] for row in rows if row["present"]], ["folder/x\ufffd.gguf"])

    def test_a_cache_that_is_no_folder(self):
        (self.cache / "models").write_bytes(b"")
        self.refused("list", code=1, says="cannot be listed")


def text_of(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def gguf(keys, tensors=()):
    """A GGUF file, version 3. keys: name -> str, bool, int (uint32), float (float32) or a list of one of them; tensors:
    (name, dims), each of float32 zeros."""
    kinds = {str: (8, text_of), bool: (7, lambda v: bytes([v])), int: (4, lambda v: struct.pack("<I", v)),
             float: (6, lambda v: struct.pack("<f", v)), bytes: (8, text_of)}
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for name, value in keys.items():
        out += text_of(name)
        if isinstance(value, list):
            kind, pack = kinds[type(value[0])]
            out += struct.pack("<IIQ", 9, kind, len(value)) + b"".join(map(pack, value))
        else:
            kind, pack = kinds[type(value)]
            out += struct.pack("<I", kind) + pack(value)
    data = b""
    for name, dims in tensors:
        out += text_of(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        out += struct.pack("<IQ", 0, len(data))
        size = 4
        for dim in dims:
            size *= dim
        data += bytes(size) + bytes(-size % 32)
    return out + bytes(-len(out) % 32) + data


SPM = {"general.architecture": "none", "general.name": "tiny", "tokenizer.ggml.model": "llama",
       "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "<end>"] +
       [f"<0x{byte:02X}>" for byte in range(256)],
       "tokenizer.ggml.scores": [0.0, 0.0, 0.0, -3.0, -2.0, -2.0, -1.0, 0.0] + [-9.0] * 256,
       "tokenizer.ggml.token_type": [2, 3, 3, 1, 1, 1, 1, 3] + [6] * 256,
       "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.add_space_prefix": False,
       "tokenizer.chat_template": "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
                                  "{% if not messages %}{{ raise_exception('no messages') }}{% endif %}"}


class ModelCase(CliCase):
    def setUp(self):
        super().setUp()
        self.model = self.file("tiny.gguf", gguf(SPM, [("a.weight", (4, 3)), ("b.weight", (5,))]))

    def file(self, name, data):
        path = self.cache / "models" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return str(path)


class Show(ModelCase):
    def test_text_and_json(self):
        shown = json.loads(quern("show", self.model, "--json").stdout)
        self.assertEqual((shown["name"], shown["parameters"], shown["bits_per_weight"]), ("tiny", 17, 32))
        self.assertEqual(shown["types"], [{"type": "f32", "tensors": 2, "parameters": 17, "bytes": 68}])
        self.assertEqual([(t["name"], t["dims"], t["bytes"]) for t in shown["tensors"]],
                         [("a.weight", [4, 3], 48), ("b.weight", [5], 20)])
        keys = {key["name"]: key for key in shown["keys"]}
        self.assertEqual(keys["tokenizer.ggml.bos_token_id"]["value"], 1)
        self.assertIs(keys["tokenizer.ggml.add_space_prefix"]["value"], False)
        self.assertEqual(keys["tokenizer.ggml.tokens"]["count"], 264)
        self.assertEqual(keys["tokenizer.ggml.tokens"]["value"], SPM["tokenizer.ggml.tokens"][:8])
        whole = json.loads(quern("show", self.model, "--json", "--arrays").stdout)
        self.assertEqual({k["name"]: k for k in whole["keys"]}["tokenizer.ggml.scores"]["value"],
                         SPM["tokenizer.ggml.scores"])
        text = quern("show", self.model, "--tensors").stdout
        for part in ("bits per weight   32.00", "general.name = \"tiny\"", "a.weight", "4 x 3"):
            self.assertIn(part, text)

    def test_by_name_in_the_cache(self):
        for name in ("tiny.gguf", "tiny"):
            self.assertEqual(json.loads(quern("show", name, "--json").stdout)["path"], self.model)

    def test_what_is_no_model(self):
        self.refused("show", "tyni", code=1, says="quern list")
        self.refused("show", "defualt", code=1, says="did you mean default?")
        self.refused("show", "smollm2:135m", code=1, says="quern pull smollm2:135m")
        self.refused("show", "none/x.gguf", code=1, says="there is no such file")
        self.refused("show", str(self.cache), code=1, says="is not a model file")
        self.refused("show", self.file("torn.gguf", gguf(SPM)[:100]), code=1, says="torn.gguf")
        self.refused("show", self.file("x-00001-of-00002.gguf", gguf(SPM)), code=1)

    def test_a_key_that_is_no_utf8(self):
        path = self.file("odd.gguf", gguf({"general.name": b"\xff\x1b[31m"}))
        self.assertIn("\ufffd", json.loads(quern("show", path, "--json").stdout)["name"])
        self.assertNotIn("\x1b", quern("show", path).stdout)  # a file must not drive the terminal


class Tokenize(ModelCase):
    def ids(self, *args, **settings):
        return json.loads(quern("tokenize", self.model, "--json", *args, **settings).stdout)

    def test_specials(self):
        self.assertEqual(self.ids("ab<end>a"), {"ids": [6, 7, 4], "pieces": ["ab", "<end>", "a"]})
        self.assertEqual(self.ids("ab", "--add-special")["ids"], [1, 6])
        self.assertNotIn(7, self.ids("ab<end>", "--no-parse-special")["ids"])
        self.assertEqual(self.ids(""), {"ids": [], "pieces": []})
        self.assertEqual(self.ids("--", "-b")["ids"], [8 + ord("-"), 5])

    def test_pieces_that_are_no_utf8(self):
        self.assertEqual(self.ids("\u00e9"), {"ids": [8 + 0xC3, 8 + 0xA9], "pieces": ["\ufffd", "\ufffd"]})

    def test_files(self):
        path = self.file("text", b"ab\0b")
        self.assertEqual(self.ids("--file", path)["ids"], [6, 8, 5])
        with open(path) as text:
            self.assertEqual(self.ids("--file", "-", stdin=text)["ids"], [6, 8, 5])
        self.assertEqual(quern("tokenize", self.model, "ab").stdout, '       6  "ab"\n')

    def test_wrong_usage(self):
        self.refused("tokenize", self.model, says="either TEXT or --file")
        self.refused("tokenize", self.model, "a", "--file", "b", says="either TEXT or --file")
        self.refused("tokenize", self.model, "--file", "none", code=1, says="none")
        self.refused("tokenize", self.file("mute.gguf", gguf({"general.name": "x"})), "a", code=1, says="mute.gguf")


class Template(ModelCase):
    CONTEXT = '{"messages": [{"role": "user", "content": "Hi"}]}'

    def render(self, source, context):
        path = self.file("context.json", context.encode())
        return quern("template", source, path)

    def test_of_a_model(self):
        done = self.render(self.model, self.CONTEXT)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "<s>[user]Hi", ""))
        self.assertEqual(self.render(self.model, '{"bos_token": "B", "messages": [{}]}').stdout, "B[]")
        failed = self.render(self.model, "{}")
        self.assertEqual((failed.returncode, failed.stdout), (1, ""))
        self.assertIn("no messages", failed.stderr)

    def test_of_a_file(self):
        path = self.file("t.jinja", b"{{ x }} {{ strftime_now('%d %b %Y') }}\n")
        with open(self.file("c.json", b'{"x": "\xc3\xa9"}')) as context:
            done = quern("template", path, "-", "--now", "2026-01-02T03:04:05", stdin=context)
        self.assertEqual(done.stdout, "\u00e9 02 Jan 2026")
        self.refused("template", path, "-", "--now", "yesterday", says="--now wants")

    def test_errors(self):
        broken = self.file("broken.jinja", b"{% if %}")
        self.assertEqual(self.render(broken, "{}").returncode, 1)
        for context in ("", "[]", "{", '{"a": 1e999}', "[" * 100_000):
            done = self.render(self.model, context)
            self.assertEqual((done.returncode, done.stdout), (1, ""), context[:20])
        self.refused("template", "none.jinja", os.devnull, code=1)
        mute = self.file("mute.gguf", gguf({"general.name": "x"}))
        self.assertIn("has no chat template", self.render(mute, "{}").stderr)


class Names(CliCase):
    def test_pull(self):
        self.refused("pull", "smollm2:153m", code=1, says="did you mean smollm2:135m?")
        self.refused("pull", "", code=1)
        self.refused("pull", LONG, code=1)

    def test_rm(self):
        self.refused("rm", "--yes", "default", code=1, says="quern pull default")


if __name__ == "__main__":
    unittest.main(verbosity=2)
