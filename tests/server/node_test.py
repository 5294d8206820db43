"""The official `openai` and `ollama` packages of npm against a live server: starts it and runs node_test.mjs."""

import os
import pathlib
import subprocess
import unittest

from live import Live, environment, tiny, tiny_caller

HERE = pathlib.Path(__file__).resolve().parent


class Node(unittest.TestCase):
    def test_packages(self):
        modules = pathlib.Path(os.environ["NODE_PATH"])
        with Live([tiny(), tiny_caller()]) as live:
            # An import looks for packages beside the file that it stands in, not in NODE_PATH.
            script = live.folder / "node_test.mjs"
            script.write_bytes((HERE / "node_test.mjs").read_bytes())
            (live.folder / "node_modules").symlink_to(modules)
            done = subprocess.run(["node", "--test", str(script)], env=environment(live.cache, QUERN_URL=live.url), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertRegex(done.stdout, r"# pass [1-9]")


if __name__ == "__main__":
    unittest.main()
