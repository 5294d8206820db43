"""schemathesis against /openapi.json of a live server: requests made from the description, good and bad, and every answer
held to it. The seed is fixed and printed; the number of requests is bounded."""

import pathlib
import subprocess
import sys
import unittest

from live import Live, environment, tiny

SEED, EXAMPLES = 20, 6  # of each operation and phase
# Not these: a request that the description allows may ask for a model that is not there (positive_data_acceptance), and
# models are not made by a request whose answer names them (use_after_free, ensure_resource_availability).
EXCLUDED = "positive_data_acceptance,use_after_free,ensure_resource_availability"


class Schema(unittest.TestCase):
    def test_answers_are_as_described(self):
        with Live([tiny()], max_waiting=64) as live:
            paths = live.json("/openapi.json")["paths"]
            for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/models",
                         "/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/api/tags", "/api/show", "/api/ps",
                         "/api/version", "/api/pull", "/api/delete", "/api/copy", "/tokenize", "/detokenize",
                         "/apply-template", "/health", "/ready", "/metrics"):
                self.assertIn(path, paths)
            done = subprocess.run(
                [sys.executable, "-m", "schemathesis.cli", "--no-color", "run", live.url + "/openapi.json",
                 "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", str(SEED),
                 "--generation-database", "none", "--no-shrink", "--checks", "all", "--exclude-checks", EXCLUDED,
                 "--exclude-path", "/api/pull",  # asks the network
                 "--request-timeout", "30", "--suppress-health-check", "all", "--continue-on-failure"],
                cwd=live.folder, env=environment(live.cache), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=240)
            self.assertEqual(done.returncode, 0, done.stdout[-20_000:])
            live.wait(lambda: live.status("/health") == 200, 30, "/health is not 200 afterwards")
        self.assertEqual(list(pathlib.Path(live.cache).rglob("*.gguf")), [])


if __name__ == "__main__":
    unittest.main()
