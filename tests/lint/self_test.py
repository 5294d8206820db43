#!/usr/bin/env python3
"""Shows every lint a good example, which it must pass, and bad ones, each of which it must refuse for the right reason.

A check that cannot fail proves nothing.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
COMPILER = "c++"
LAYERS = "0 base -\n1 os base\n2 text base\n2 quant base\n3 gguf base quant\n8 cli *\n4 back base\n4 back/cpu base quant\n"


class Project:
    """A folder with the files given (path: text), on which a lint is run."""

    def __init__(self, files):
        self.root = Path(tempfile.mkdtemp(prefix="quern_lint_"))
        for name, text in {"docs/layers.txt": LAYERS, **files}.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, lint, *arguments):
        command = [sys.executable, TOOLS / f"check_{lint}.py", "--root", self.root, *arguments]
        # Without CI a lint whose tool is missing says so by 77.
        environment = {k: v for k, v in os.environ.items() if k != "CI"}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    def close(self):
        shutil.rmtree(self.root)


class LintTest(unittest.TestCase):
    def check(self, lint, files, *arguments):
        project = Project(files)
        self.addCleanup(project.close)
        result = project.run(lint, *arguments)
        if result.returncode == 77:
            self.skipTest(result.stdout.strip())
        return result

    def passes(self, lint, files, *arguments):
        result = self.check(lint, files, *arguments)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def fails(self, lint, files, reason, *arguments):
        result = self.check(lint, files, *arguments)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn(reason, result.stdout)


class Layers(LintTest):
    def test_downwards_is_fine(self):
        self.passes("layers", {
            "src/gguf/a.cpp": '#include "gguf/a.h"\n#include "quant/b.h"\n#include "quern/result.h"\n#include <vector>\n',
            "src/cli/main.cpp": '#include "gguf/a.h"\n',
            "src/back/cpu/ops.cpp": '#include "back/ops.h"\n#include "quant/b.h"\n',
            "src/text/a_test.cpp": '#include "tests/support/x.h"\n',
            "src/text/b.cpp": '// #include "gguf/a.h"\n/*\n#include "gguf/a.h"\n*/\n'})

    def test_upwards(self):
        self.fails("layers", {"src/quant/a.cpp": '\n  #  include "gguf/a.h"\n'}, 'src/quant/a.cpp:2: "gguf/a.h"')

    def test_sideways(self):
        self.fails("layers", {"src/text/a.h": '#include "quant/a.h"\n'}, "text may include only: base text")

    def test_a_row_of_a_subfolder_does_not_serve_its_parent(self):
        self.fails("layers", {"src/back/a.cpp": '#include "quant/a.h"\n'}, "back may include only: back base")

    def test_a_folder_without_a_row(self):
        self.fails("layers", {"src/misc/a.cpp": ""}, "src/misc/a.cpp:1: its folder has no row")

    def test_a_file_outside_the_rooms(self):
        self.fails("layers", {"src/a.cpp": ""}, "src/a.cpp:1: its folder has no row")

    def test_an_unknown_room(self):
        self.fails("layers", {"src/base/a.cpp": '#include "fmt/format.h"\n'}, "fmt is no room")

    def test_a_path_that_is_not_from_the_top(self):
        self.fails("layers", {"src/base/a.cpp": '#include "../base/b.h"\n'}, "is not a path from src/")
        self.fails("layers", {"src/base/a.cpp": '#include "b.h"\n'}, "is not a path from src/")

    def test_tests_in_the_product(self):
        self.fails("layers", {"src/base/a.cpp": '#include "tests/support/a.h"\n'}, "only tests include tests/")

    def test_a_public_header_that_needs_a_private_one(self):
        self.fails("layers", {"include/quern/a.h": '#include "base/a.h"\n'}, "a public header includes only")

    def test_what_tests_may_besides(self):
        files = {"src/text/a_test.cpp": '#include "gguf/a.h"\n'}
        self.fails("layers", files, "text may include only")
        self.passes("layers", {**files, "docs/layers.txt": LAYERS + "test text gguf quant\n"})
        self.fails("layers", {"src/text/a.cpp": '#include "gguf/a.h"\n',
                              "docs/layers.txt": LAYERS + "test text gguf quant\n"}, "text may include only")

    def test_a_circle(self):
        self.fails("layers", {"docs/layers.txt": "0 a b\n1 b c\n2 c a\n"}, "a circle: a -> b -> c -> a")

    def test_a_senseless_row(self):
        self.fails("layers", {"docs/layers.txt": "base -\n"}, "a row is:")
        self.fails("layers", {"docs/layers.txt": "0 base nowhere\n"}, "nowhere, which has no row")


class Names(LintTest):
    def test_homes_comments_and_tests_are_fine(self):
        self.passes("names", {
            "src/quant/a.cpp": "Q4_K",
            "src/model/arch/a.cpp": '"qwen2"',
            "src/model/a_test.cpp": '"gemma3" Q4_0',
            "src/model/a.cpp": "// like Q4_K of qwen2\nint seq_k; auto iq = freq_0;\n"})

    def test_formats(self):
        for bad in ("kQ4_K", '"q4_k"', "Type::Q8_0", "block_q6_K", "IQ4_XS", "kMXFP4", '"Q4_K_M"'):
            self.fails("names", {"src/model/a.cpp": f"\nauto x = {bad};\n"}, "src/model/a.cpp:2")

    def test_architectures(self):
        for bad in ('"qwen2"', "is_gemma3", "LlamaConfig", '"phi3"', '"mistral"'):
            self.fails("names", {"src/model/a.h": f"auto x = {bad};\n"}, "[arch-name]")

    def test_rows_of_tables(self):
        self.fails("names", {"src/model/a.def": 'ROW("llama")\n'}, "[arch-name]")

    def test_exceptions(self):
        files = {"src/hub/a.cpp": '"gemma3:270m"\n"gemma3"\n'}
        row = 'arch-name src/hub/* gemma3:[0-9]+m  # a user\'s name for a model\n'
        self.fails("names", {**files, "tests/lint/allow.txt": row}, "src/hub/a.cpp:2")
        self.passes("names", {"src/hub/a.cpp": '"gemma3:270m"\n', "tests/lint/allow.txt": row})

    def test_an_exception_without_a_reason(self):
        result = self.check("names", {"tests/lint/allow.txt": "arch-name src/* .\n"})
        self.assertEqual(result.returncode, 1)
        self.assertIn("# reason", result.stderr)


class Sizes(LintTest):
    def test_short_is_fine(self):
        body = "  f();\n" * 158
        text = ("namespace {\nclass A : B {\n public:\n  A() : a_(1), b_{2} {\n" + body + "  }\n};\n}\n"
                "const char* kText = \"{{{\"; // {\nconst int kTable[] = {\n" + "  1,\n" * 300 + "};\n"
                "template <class T>\nauto g(T t) noexcept -> int {\n  if (t) { t(); }\n}\n")
        out = self.passes("sizes", {"src/base/a.cpp": text})
        self.assertIn("2 functions", out)
        self.assertIn("  160  src/base/a.cpp:4 A", out)

    def test_a_long_file(self):
        self.fails("sizes", {"src/base/a.cpp": "int a;\n" * 1201}, "src/base/a.cpp:1: 1201 lines; the limit is 1200")

    def test_a_long_function(self):
        body = "  f([] {\n  });\n" * 80
        for head in ("int f(int a)", "Status C::f() const", 'extern "C" void f()', "C::C(int a) : a_{a}, b_(a)",
                     "C::C(int a)\n    : a_(a),\n      b_{a}", "bool operator==(A, B)", "TEST(A, B)"):
            self.fails("sizes", {"src/base/a.cpp": f"namespace a::b {{\n{head} {{\n{body}}}\n}}\n"},
                       ": 162 lines; the limit is 160")


class Sealed(LintTest):
    def build(self, source):
        folder = Path(tempfile.mkdtemp(prefix="quern_lint_build_"))
        self.addCleanup(shutil.rmtree, folder)
        target = folder / "CMakeFiles/quern.dir/src/kernels/avx2"
        target.mkdir(parents=True)
        subprocess.run([COMPILER, "-std=c++20", "-O1", "-fPIC", "-c", "-x", "c++", "-", "-o", target / "a.cpp.o"],
                       input=source, text=True, check=True)
        return str(folder)

    FILES = {"src/kernels/avx2/a.cpp": "", "src/kernels/avx2/a_test.cpp": ""}

    def test_sealed_is_fine(self):
        build = self.build("namespace { inline int f(int a) { return a + 1; } }\nint (*table[])(int) = {f};\n")
        self.assertIn("1 objects", self.passes("sealed", self.FILES, "--build", build, "avx2"))

    def test_an_inline_function(self):
        build = self.build("inline int f(int a) { return a + 1; }\nint (*table[])(int) = {f};\n")
        self.fails("sealed", self.FILES, "weak symbol f(int)", "--build", build, "avx2")

    def test_a_unique_symbol(self):
        build = self.build("inline int& f() { static int a; return a; }\nint g() { return f(); }\n")
        self.fails("sealed", self.FILES, "symbol f()::a", "--build", build, "avx2")

    def test_a_static_initialiser(self):
        build = self.build("int f(); static int a = f(); int g() { return a; }\n")
        self.fails("sealed", self.FILES, ".init_array", "--build", build, "avx2")

    def test_an_object_that_is_not_there(self):
        with tempfile.TemporaryDirectory() as build:
            self.fails("sealed", self.FILES, "has no object", "--build", build, "avx2")


class Text(LintTest):
    def test_ordinary_text_is_fine(self):
        self.passes("text", {"a.md": "src/" "work/a, ${home}/" "root/x, and a list of things to do; /sys/fs/cgroup\n",
                             "b.bin": "\0/ho" + "me/me\n"})

    def test_paths_hosts_and_unfinished_work(self):
        for bad in ("/ho" "me/me/x", "'/ro" "ot/.cache'", "=/wo" "rk/main", "https://py" "pi.org/simple", "files.pythonho"
                    "sted.org", "crates" ".io", "// TO" "DO: later", "FIX" "ME"):
            self.fails("text", {"a/b.md": f"fine\n{bad}\n"}, "a/b.md:2: ")

    def test_links(self):
        self.passes("text", {"a/b.md": "[x](c.md#part) [y](../LICENSE) [z](https://example.com)\n", "a/c.md": "", "LICENSE": ""})
        self.fails("text", {"a/b.md": "\n[x](d.md)\n"}, "a/b.md:2: d.md is not there")


class Format(LintTest):
    STYLE = {".clang-format": "BasedOnStyle: Google\n"}

    def test_formatted_is_fine(self):
        self.passes("format", {**self.STYLE, "src/base/a.cpp": "int f(int a) { return a; }\n"})

    def test_unformatted(self):
        self.fails("format", {**self.STYLE, "src/base/a.cpp": "int f( int a ){return a;}\n"}, "src/base/a.cpp:1:")


class Shell(LintTest):
    def test_sound_is_fine(self):
        self.passes("shell", {"a.sh": '#!/bin/sh\necho "$1"\n', "b.py": "#!/usr/bin/env python3\n"})

    def test_unsound(self):
        self.fails("shell", {"a.sh": "#!/bin/sh\nrm $1\n"}, "SC2086")
        self.fails("shell", {".ci/run": "#!/usr/bin/env bash\nrm $1\n"}, "SC2086")


class Headers(LintTest):
    def headers(self, text, more=()):
        return {"include/quern/a.h": text, **{f"include/quern/b{i}.h": "#pragma once\n" for i in more}}

    def test_sound_is_fine(self):
        self.passes("headers", self.headers("#pragma once\n#include <string>\ninline std::string f() { return {}; }\n"),
                    "--compiler", COMPILER)

    def test_what_it_needs_is_not_included(self):
        self.fails("headers", self.headers("#pragma once\ninline std::string f();\n"), "does not compile alone",
                   "--compiler", COMPILER)

    def test_no_guard(self):
        self.fails("headers", self.headers("struct A {};\n"), "redefinition", "--compiler", COMPILER)

    def test_too_many_too_long_or_none(self):
        self.fails("headers", self.headers("#pragma once\n", range(12)), "13 headers", "--compiler", COMPILER)
        self.fails("headers", self.headers("#pragma once\n" * 251), "251 lines", "--compiler", COMPILER)
        self.fails("headers", {}, "no headers", "--compiler", COMPILER)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--compiler", default=COMPILER)
    arguments, rest = options.parse_known_args()
    COMPILER = arguments.compiler
    unittest.main(argv=[sys.argv[0], *rest])
