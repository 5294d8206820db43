"""The official `ollama` package against a live server: texts, streams, embeddings, and the commands on models."""

import datetime
import fcntl
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

import ollama

from live import START_S, Live, LiveCase, environment, tiny

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "hub"))
from standin import Hub  # noqa: E402

HELLO = [{"role": "user", "content": "hello"}]
OPTIONS = {"num_predict": 12, "temperature": 0, "seed": 1}


def client_of(live):
    return ollama.Client(host=live.url, timeout=START_S, trust_env=False)


def unlocked(file):
    """Nobody writes the file: a pull holds its lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_UN)
    except BlockingIOError:
        return False
    return True


class OllamaCase(LiveCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = cls.enterClassContext(client_of(cls.live))

    def generate(self, prompt="hello", **settings):
        return self.client.generate("default", prompt, **{"options": OPTIONS, **settings})

    def chat(self, **settings):
        return self.client.chat("default", HELLO, **{"options": OPTIONS, **settings})

    def is_complete(self, answer):
        self.assertIs(answer.done, True)
        self.assertIn(answer.done_reason, ("stop", "length"))
        self.assertEqual(answer.done_reason == "length", answer.eval_count == 12)
        for name in ("total_duration", "prompt_eval_duration", "eval_duration", "prompt_eval_count", "eval_count"):
            self.assertGreater(getattr(answer, name), 0, name)
        self.assertGreaterEqual(answer.total_duration, answer.prompt_eval_duration + answer.eval_duration)
        self.assertLess(answer.total_duration, START_S * 1e9)
        made = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", answer.created_at))
        self.assertLess(abs(datetime.datetime.now(datetime.timezone.utc) - made).total_seconds(), 600)


class Texts(OllamaCase):
    def test_generate(self):
        answer = self.generate()
        self.is_complete(answer)
        self.assertEqual(self.generate().response, answer.response)
        self.assertNotEqual(self.generate(options={**OPTIONS, "temperature": 2, "seed": 5}).response, answer.response)
        self.assertEqual(len(answer.context), answer.prompt_eval_count + answer.eval_count)
        self.assertGreater(self.generate(system="be brief").prompt_eval_count, answer.prompt_eval_count)
        self.assertEqual(self.generate(raw=True).prompt_eval_count, len("hello"))

    def test_context_continues(self):
        first = self.generate()
        second = self.generate("again", context=first.context)
        self.assertEqual(second.context[:len(first.context)], first.context)
        self.assertGreater(second.prompt_eval_count, self.generate("again").prompt_eval_count)
        self.assertGreater(self.generate("again", context=first.context, system="be brief").prompt_eval_count,
                           second.prompt_eval_count)
        # As /api/chat would have it: the answer before it is closed as the template closes it.
        asked = self.live.json("/apply-template", {"messages": HELLO})["prompt"]
        context = self.live.json("/tokenize", {"content": asked + "yes"})["tokens"]
        third = self.generate("again", context=context)
        turns = [*HELLO, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "again"}]
        self.assertEqual(self.live.json("/detokenize", {"tokens": third.context[:third.prompt_eval_count]})["content"],
                         self.live.json("/apply-template", {"messages": turns})["prompt"])

    def test_streams(self):
        for whole, parts, text in ((self.generate(), self.generate(stream=True), lambda part: part.response),
                                   (self.chat(), self.chat(stream=True), lambda part: part.message.content)):
            parts = [*parts]
            self.assertEqual("".join(map(text, parts)), text(whole))
            self.assertEqual([part.done for part in parts], [False] * (len(parts) - 1) + [True])
            self.assertGreater(len(parts), 2)
            self.is_complete(parts[-1])
        self.assertEqual(self.live.request("/api/generate", {"model": "default", "prompt": "x", "options": OPTIONS})[1]
                         .get_content_type(), "application/x-ndjson")

    def test_chat(self):
        answer = self.chat()
        self.is_complete(answer)
        self.assertEqual(answer.message.role, "assistant")
        self.assertEqual(self.generate().response, answer.message.content)

    def test_logprobs(self):
        # Without the penalty that is Ollama's default, the likeliest token is the one that is taken.
        answer = self.generate(logprobs=True, top_logprobs=2, options={**OPTIONS, "repeat_penalty": 1})
        self.assertEqual(len(answer.logprobs), answer.eval_count)
        for entry in answer.logprobs:
            self.assertEqual(len(entry.top_logprobs), 2)
            self.assertEqual((entry.top_logprobs[0].token, entry.top_logprobs[0].logprob), (entry.token, entry.logprob))

    def test_options_take_effect(self):
        self.assertEqual(self.generate(options={**OPTIONS, "num_predict": 3}).eval_count, 3)
        text = self.generate(options={**OPTIONS, "num_predict": 40}).response
        stop = next(character for character in text if character.isalnum())
        stopped = self.generate(options={**OPTIONS, "num_predict": 40, "stop": [stop]})
        self.assertEqual((stopped.response, stopped.done_reason), (text[:text.index(stop)], "stop"))
        with self.assertRaises(ollama.ResponseError) as caught:
            self.generate("hello" * 20, options={**OPTIONS, "num_ctx": 64})
        self.assertEqual(caught.exception.status_code, 400)
        self.assertIn("64", caught.exception.error)
        for options in ({"temperature": -1}, {"num_predict": "x"}, {"num_ctx": 1 << 40}, {"mirostat": 1}):
            with self.subTest(options), self.assertRaises(ollama.ResponseError) as caught:
                self.generate(options={**OPTIONS, **options})
            self.assertEqual(caught.exception.status_code, 400)
            self.assertIn(next(iter(options)), caught.exception.error)

    def test_what_has_no_effect_is_told(self):
        body = {"model": "default", "prompt": "x", "stream": False, "no_such_member": 1,
                "options": {**OPTIONS, "num_gpu": 1, "no_such_option": 1, "mirostat": 0}}
        status, headers, _ = self.live.request("/api/generate", body)
        self.assertEqual(status, 200)
        self.assertEqual(headers["x-quern-ignored"], "no_such_member, options.num_gpu, options.no_such_option")

    def test_what_is_not_supported_is_refused_by_name(self):
        for path, member, value in (("generate", "suffix", "x"), ("generate", "template", "{{ .Prompt }}"),
                                    ("generate", "images", ["aGk="]), ("generate", "format", "xml"),
                                    ("chat", "format", {"type": "odd"}), ("chat", "tools", [{"type": "function"}]),
                                    ("chat", "think", True), ("generate", "think", True), ("chat", "keep_alive", "soon"), ("chat", "options", 1),
                                    ("embed", "dimensions", 1 << 20), ("embed", "input", 1), ("show", "options", {"a": 1}),
                                    ("generate", "context", [1 << 30]), ("generate", "context", "x"),
                                    ("chat", "messages", [{"role": "user", "content": "x", "images": ["aGk="]}])):
            body = {"model": "default", "prompt": "x", "messages": HELLO, "input": "x", member: value}
            with self.subTest(f"{path} {member}"):
                status, headers, data = self.live.request("/api/" + path, body)
                self.assertEqual((status, headers.get_content_type()), (400, "application/json"))
                self.assertIn(f"'{'images' if member == 'messages' else member}", json.loads(data)["error"])
        for path in ("/api/create", "/api/push", "/api/blobs/sha256:00"):
            self.assertEqual(self.live.request(path, {"model": "x"})[0], 400)
        self.assertEqual(self.live.request("/api/blobs/sha256:00", method="HEAD")[0], 404)
        # What asks for nothing is no reason to refuse.
        self.assertEqual(self.live.json("/api/chat", {"model": "default", "messages": HELLO, "tools": [], "think": False,
                                                      "format": "", "stream": False, "options": OPTIONS})["done"], True)

    def test_without_a_prompt_the_model_is_loaded(self):
        answer = self.live.json("/api/chat", {"model": "default", "messages": []})
        self.assertEqual((answer["message"], answer["done_reason"]), ({"role": "assistant", "content": ""}, "load"))

    def test_prompts_that_are_too_long_are_refused_with_figures(self):
        for body in ({"prompt": "x" * 3000}, {"prompt": "x" * 3000, "truncate": False}):
            status, _, data = self.live.request("/api/generate", {"model": "default", **body})
            self.assertEqual(status, 400)
            self.assertRegex(json.loads(data)["error"], r"needs 3\d\d\d tokens, the context holds 1024")
        status, headers, _ = self.live.request("/api/embed", {"model": "default", "input": "x" * 3000, "truncate": True})
        self.assertEqual((status, headers["x-quern-truncated"]), (200, "end; removed=1976"))
        for body in ({}, {"truncate": False}):
            self.assertEqual(self.live.request("/api/embed", {"model": "default", "input": "x" * 3000, **body})[0], 400)


class Embeddings(OllamaCase):
    def test_embed(self):
        one = self.client.embed("default", "one")
        both = self.client.embed("default", ["one", "two"])
        self.assertEqual(len(both.embeddings), 2)
        self.assertEqual(both.embeddings[0], one.embeddings[0])
        self.assertNotEqual(both.embeddings[0], both.embeddings[1])
        self.assertAlmostEqual(sum(value * value for value in one.embeddings[0]), 1, places=5)
        self.assertGreater(both.prompt_eval_count, one.prompt_eval_count)
        self.assertGreater(one.total_duration, 0)
        headers = self.live.request("/api/embed", {"model": "default", "input": "x", "options": {"temperature": 1, "num_ctx": 9}})[1]
        self.assertEqual(headers["x-quern-ignored"], "options.temperature")
        short = self.client.embed("default", "one", dimensions=8).embeddings[0]
        self.assertEqual(len(short), 8)
        self.assertAlmostEqual(sum(value * value for value in short), 1, places=5)
        self.assertAlmostEqual(short[0] / short[1], one.embeddings[0][0] / one.embeddings[0][1], places=3)
        old = self.client.embeddings("default", "one").embedding
        scale = sum(value * value for value in old) ** 0.5
        for value, same in zip(old, one.embeddings[0], strict=True):
            self.assertAlmostEqual(value / scale, same, places=5)


class Loading(OllamaCase):
    def test_keep_alive(self):
        self.generate(keep_alive=-1)
        running = self.client.ps().models
        self.assertEqual(len(running), 1)
        self.assertEqual((running[0].context_length, running[0].name), (1024, running[0].model))
        self.assertGreater(running[0].size, 0)
        self.generate(keep_alive="5m")
        left = self.client.ps().models[0].expires_at - datetime.datetime.now(datetime.timezone.utc)
        self.assertTrue(240 < left.total_seconds() <= 300, left)
        unloaded = self.client.generate("default", keep_alive=0)
        self.assertEqual((unloaded.response, unloaded.done_reason), ("", "unload"))
        self.live.wait(lambda: not self.client.ps().models, START_S, "the model is not unloaded")
        loaded = self.client.generate("default")
        self.assertEqual((loaded.response, loaded.done_reason), ("", "load"))
        self.assertEqual(len(self.client.ps().models), 1)
        self.assertGreater(self.generate().eval_count, 0)

    def test_detection(self):
        """What clients look for on port 11434."""
        self.assertEqual(self.live.request("/")[2], b"Ollama is running")
        self.assertEqual(self.live.request("/", method="HEAD")[0], 200)
        self.assertRegex(self.live.json("/api/version")["version"], r"^\d+\.\d+\.\d+")

    def test_digests_that_no_download_left(self):
        wanted = hashlib.sha256(tiny().read_bytes()).hexdigest()
        self.assertIn(self.client.list().models[0].digest, (wanted, "0" * 64))
        self.live.wait(lambda: self.client.list().models[0].digest == wanted, START_S, "the digest is not computed")

    def test_unknown_models(self):
        for call in (self.client.show, self.client.delete, lambda name: self.client.copy(name, "other"),
                     lambda name: self.client.chat(name, HELLO), lambda name: [*self.client.chat(name, HELLO, stream=True)]):
            with self.assertRaises(ollama.ResponseError) as caught:
                call("no-such-model")
            self.assertEqual(caught.exception.status_code, 404)


class ModelCommands(unittest.TestCase):
    """pull, list, show, copy, delete, on a hub of our own."""

    def test_life_of_a_model(self):
        name = "hf:owner/repo"
        with Hub({"owner/repo": {"model.gguf": tiny("qwen3", file="other").read_bytes()}}) as hub, \
             Live([tiny()], env={"HF_ENDPOINT": hub.url}) as live, client_of(live) as client:
            steps = [*client.pull(name, stream=True)]
            self.assertEqual((steps[0].status, steps[-1].status), ("pulling manifest", "success"))
            progress = [step for step in steps if step.total]
            self.assertEqual(progress[-1].completed, progress[-1].total)
            self.assertRegex(progress[-1].digest, "^sha256:[0-9a-f]{64}$")
            fetched = len(hub.requests("cdn"))
            self.assertEqual(client.pull(name).status, "success")  # it is present
            self.assertEqual(len(hub.requests("cdn")), fetched)
            with self.assertRaises(ollama.ResponseError):
                client.pull("hf:owner/absent")
            with self.assertRaises(ollama.ResponseError):
                [*client.pull("hf:owner/absent", stream=True)]

            listed = {model.model: model for model in client.list().models}
            row = listed[name + ":model.gguf"]
            data = tiny("qwen3", file="other").read_bytes()
            self.assertEqual((row.size, row.digest), (len(data), hashlib.sha256(data).hexdigest()))
            self.assertEqual((row.details.format, row.details.quantization_level), ("gguf", "F32"))
            self.assertEqual(client.show("hf.co/owner/repo:latest").details, row.details)
            shown = client.show(name)
            self.assertEqual(shown.details.family, "qwen3")
            self.assertEqual(shown.modelinfo["general.architecture"], "qwen3")
            self.assertIn("<|turn|>", shown.template)
            self.assertIn("completion", shown.capabilities)
            self.assertIsNone(shown.modelinfo["tokenizer.ggml.tokens"])
            self.assertEqual(len(live.json("/api/show", {"name": name, "verbose": True})["model_info"]
                                 ["tokenizer.ggml.tokens"]), 299)
            text = client.generate(name, "hello", options=OPTIONS).response

            self.assertEqual(client.copy(name, "mine").status, "success")
            self.assertEqual(client.generate("mine", "hello", options=OPTIONS).response, text)
            self.assertEqual(client.delete("mine").status, "success")
            self.assertEqual({model.model for model in client.list().models}, set(listed))
            self.assertEqual(client.delete(name).status, "success")
            with self.assertRaises(ollama.ResponseError):
                client.show(name)
            outside = {"default": 400, str(tiny()): 404, "../cache/models/x": 404, "absent": 404}
            for asked, wanted in outside.items():
                for path, method, body in (("/api/delete", "DELETE", {"model": asked}),
                                           ("/api/copy", "POST", {"source": asked, "destination": "taken"})):
                    with self.subTest(asked, path=path):
                        self.assertEqual(live.request(path, body, method=method)[0], wanted)
            self.assertTrue(tiny().exists())
            self.assertEqual(subprocess.run([live.command[0], "list", "--json"], env=environment(live.cache), text=True,
                                            capture_output=True, check=True).stdout.count("owner/repo"), 0)

    def test_copies_stay_in_their_folder(self):
        with Hub({"owner/repo": {"model.gguf": tiny().read_bytes()}}) as hub, \
             Live([tiny()], env={"HF_ENDPOINT": hub.url}) as live, client_of(live) as client:
            client.pull("hf:owner/repo")
            before = sorted(pathlib.Path(live.folder).rglob("*.gguf"))
            for name in ("../out", "/tmp/quern-out", "a/../../out", "default", "tiny", "hf:other/repo", "", "x\ny",
                         "https://127.0.0.1/x.gguf", "smollm2:135m"):
                with self.subTest(name):
                    status, _, data = live.request("/api/copy", {"source": "hf:owner/repo", "destination": name})
                    self.assertEqual(status, 400, data)
            self.assertEqual(sorted(pathlib.Path(live.folder).rglob("*.gguf")), before)

    def test_what_clients_may_fetch(self):
        hubs = {"owner/repo": {"model.gguf": tiny().read_bytes()}}
        with Hub(hubs) as hub, Live([tiny()], env={"HF_ENDPOINT": hub.url}) as live:
            for name in (hub.url + "/owner/repo/resolve/main/model.gguf", "http://127.0.0.1:1/x.gguf"):
                self.assertEqual(live.request("/api/pull", {"model": name})[0], 403)
            for name in ("file:///etc/passwd", "/etc/passwd", "../x", "no-such-name", "hf:../x", "hf:a/b:../c"):
                self.assertIn(live.request("/api/pull", {"model": name})[0], (400, 404))
            self.assertEqual(hub.log, [])
            self.assertEqual(live.json("/api/pull", {"model": "default", "stream": False}), {"status": "success"})
        with Hub(hubs) as hub, Live([tiny()], env={"HF_ENDPOINT": hub.url}, allow_pull="catalogue") as live:
            self.assertEqual(live.request("/api/pull", {"model": "hf:owner/repo"})[0], 403)
            self.assertEqual(hub.log, [])

    def test_pulls_are_shared_and_stop_with_their_last_client(self):
        data = tiny().read_bytes()
        name = "hf:owner/repo"
        with Hub({"owner/repo": {"model.gguf": data}}) as hub, \
             Live([tiny()], env={"HF_ENDPOINT": hub.url}) as live, client_of(live) as client, client_of(live) as other:
            hub.fault("slow", len(data) // 40)  # two seconds
            first, second = (c.pull(name, stream=True) for c in (client, other))
            self.assertEqual([next(stream).status for stream in (first, second)], ["pulling manifest"] * 2)
            first.close()  # one of two clients goes away
            self.assertEqual([*second][-1].status, "success")
            self.assertEqual(len(hub.requests("cdn")), 1)
            client.delete(name)

            hub.fault("slow", len(data) // 600)  # thirty seconds
            stream = client.pull(name, stream=True)
            while not next(stream).completed:
                pass
            stream.close()  # the last one does
            with next(live.cache.rglob("*.part")).open("rb") as part:
                live.wait(lambda: unlocked(part), 20, "the pull does not end")
            self.assertEqual(list(live.cache.rglob("*.gguf")), [])
            self.assertEqual([*client.pull(name, stream=True)][-1].status, "success")
            self.assertIn("Range", hub.requests("cdn")[-1][2])  # where the last one stopped


if __name__ == "__main__":
    unittest.main()
