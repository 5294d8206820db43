"""The official `openai` package against a live server, its answers held to that package's own types."""

import asyncio
import base64
import hashlib
import itertools
import math
import struct
import unittest

import openai

from live import START_S, Live, LiveCase, tiny

LETTERS = {str(ord(c)): 60 for c in "abcdefghijklmnopqrstuvwxyz"}  # the made-up model then writes letters, without an end
HELLO = [{"role": "user", "content": "hello"}]
PLAIN = {"model": "default", "logit_bias": LETTERS, "temperature": 0, "max_tokens": 12}


def client_of(live, key="none", kind=openai.OpenAI, strict=True):
    return kind(base_url=live.url + "/v1", api_key=key, max_retries=0, timeout=START_S, _strict_response_validation=strict)


class OpenAICase(LiveCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = cls.enterClassContext(client_of(cls.live))
        # The package's types have no place for the null finish_reason that all but a stream's end have, nor for the null
        # log-probability of a prompt's first token, nor for vectors in the base64 that the package itself asks for.
        cls.lenient = cls.enterClassContext(client_of(cls.live, strict=False))

    def chat(self, messages=HELLO, **settings):
        return self.client.chat.completions.create(messages=messages, **{**PLAIN, **settings})

    def complete(self, prompt="hello", **settings):
        client = self.lenient if settings.get("stream") or settings.get("echo") else self.client
        return client.completions.create(prompt=prompt, **{**PLAIN, **settings})


class Models(OpenAICase):
    @classmethod
    def models(cls):
        return [tiny(), tiny("qwen3", file="other")]

    def test_list_and_retrieve(self):
        ids = [model.id for model in self.client.models.list()]
        self.assertEqual(len([id for id in ids if id != "default"]), 2)
        for id in [*ids, "default"]:
            self.assertEqual(self.client.models.retrieve(id).object, "model")
            self.assertEqual(self.chat(model=id).choices[0].finish_reason, "length")
        texts = {self.chat(model=id).choices[0].message.content for id in ids if id != "default"}
        self.assertEqual(len(texts), 2)


class Chat(OpenAICase):
    def test_answer_and_usage(self):
        answer = self.chat()
        choice = answer.choices[0]
        self.assertEqual((choice.message.role, choice.finish_reason, choice.index), ("assistant", "length", 0))
        self.assertRegex(choice.message.content, "^[a-z]{12}$")
        usage = answer.usage
        self.assertEqual((usage.completion_tokens, usage.total_tokens), (12, 12 + usage.prompt_tokens))
        self.assertIsNotNone(usage.prompt_tokens_details.cached_tokens)
        self.assertEqual(self.chat(max_tokens=openai.omit, max_completion_tokens=5).usage.completion_tokens, 5)
        longer = self.chat([{"role": "system", "content": "be brief"}, *HELLO])
        self.assertGreater(longer.usage.prompt_tokens, usage.prompt_tokens)

    def test_content_in_parts(self):
        parts = [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
        self.assertEqual(self.chat(parts).usage.prompt_tokens, self.chat().usage.prompt_tokens)

    def test_a_stream_is_the_answer_in_pieces(self):
        whole = self.chat(n=2, seed=3, temperature=1)
        texts, reasons, usages = ["", ""], {}, []
        for chunk in self.chat(n=2, seed=3, temperature=1, stream=True, stream_options={"include_usage": True}):
            self.assertEqual(chunk.object, "chat.completion.chunk")
            if not chunk.choices:
                usages.append(chunk.usage)
            for choice in chunk.choices:
                self.assertNotIn(choice.index, reasons)
                texts[choice.index] += choice.delta.content or ""
                if choice.finish_reason:
                    reasons[choice.index] = choice.finish_reason
        self.assertEqual(texts, [choice.message.content for choice in whole.choices])
        self.assertEqual((reasons, len(usages)), ({0: "length", 1: "length"}, 1))
        self.assertEqual(usages[0].completion_tokens, whole.usage.completion_tokens)
        self.assertTrue(all(chunk.choices for chunk in self.chat(stream=True)))

    def test_samples_and_seeds(self):
        def texts(**settings):
            return [choice.message.content for choice in self.chat(n=3, temperature=1.5, **settings).choices]
        first = texts(seed=1)
        self.assertEqual(len(set(first)), 3)
        self.assertEqual(texts(seed=1), first)
        self.assertNotEqual(texts(seed=2), first)

    def test_stop(self):
        text = self.chat(max_tokens=40).choices[0].message.content
        stop = text[10:12]
        for stops in (stop, ["not there", stop]):
            choice = self.chat(max_tokens=40, stop=stops).choices[0]
            self.assertEqual((choice.message.content, choice.finish_reason), (text[:text.index(stop)], "stop"))
        pieces = [chunk.choices[0].delta.content or "" for chunk in self.chat(max_tokens=40, stop=stop, stream=True)]
        self.assertEqual("".join(pieces), text[:text.index(stop)])

    def test_logprobs(self):
        choice = self.chat(logprobs=True, top_logprobs=3).choices[0]
        self.assertEqual("".join(entry.token for entry in choice.logprobs.content), choice.message.content)
        for entry in choice.logprobs.content:
            self.assertEqual(bytes(entry.bytes), entry.token.encode())
            self.assertEqual(len(entry.top_logprobs), 3)
            self.assertLessEqual(entry.logprob, entry.top_logprobs[0].logprob)  # the model's own, without the bias
            values = [top.logprob for top in entry.top_logprobs]
            self.assertEqual(values, sorted(values, reverse=True))
            self.assertLessEqual(sum(map(math.exp, values)), 1 + 1e-6)
        first = self.chat(logprobs=True, top_logprobs=1, logit_bias={}).choices[0].logprobs.content[0]
        self.assertEqual((first.top_logprobs[0].bytes, first.top_logprobs[0].logprob), (first.bytes, first.logprob))
        streamed = [entry for chunk in self.chat(logprobs=True, stream=True) for choice in chunk.choices if choice.logprobs
                    for entry in choice.logprobs.content or []]
        self.assertEqual([entry.logprob for entry in streamed], [entry.logprob for entry in choice.logprobs.content])

    def test_penalties(self):
        bias = {str(ord("a")): 100, str(ord("b")): 100}

        def imbalance(**settings):
            text = self.chat(logit_bias=bias, max_tokens=40, **settings).choices[0].message.content
            self.assertRegex(text, "^[ab]{40}$")
            return abs(text.count("a") - text.count("b"))
        self.assertLess(imbalance(frequency_penalty=2), imbalance())
        self.assertEqual(self.chat(logit_bias={str(ord("a")): 100}).choices[0].message.content, "a" * 12)

    def test_together_as_alone(self):
        """Many at once give each the bits that it gets alone."""
        prompts = [[{"role": "user", "content": "x" * size}] for size in (1, 40, 7, 90, 3, 150, 21, 64)]
        alone = [self.chat(messages, temperature=1, seed=7, max_tokens=40).choices[0].message.content
                 for messages in prompts]

        async def together():
            async with client_of(self.live, kind=openai.AsyncOpenAI) as client:
                return await asyncio.gather(*(client.chat.completions.create(
                    messages=messages, **{**PLAIN, "temperature": 1, "seed": 7, "max_tokens": 40}) for messages in prompts))
        self.assertEqual([answer.choices[0].message.content for answer in asyncio.run(together())], alone)

    def test_seed_and_figures_are_told(self):
        first = self.chat(temperature=1)
        figures = first.quern
        self.assertGreaterEqual(figures["first_token_ms"], figures["queue_ms"])
        self.assertGreater(min(figures["prompt_tps"], figures["tps"]), 0)
        self.assertEqual(figures["truncated_tokens"], 0)
        again = self.chat(temperature=1, seed=figures["seed"])
        self.assertEqual(again.choices[0].message.content, first.choices[0].message.content)
        self.assertEqual(again.system_fingerprint, first.system_fingerprint)
        last = [*self.chat(seed=9, stream=True, stream_options={"include_usage": True})][-1]
        self.assertEqual(last.quern["seed"], 9)

    def test_a_message_is_continued(self):
        whole = self.chat().choices[0].message.content
        history = [*HELLO, {"role": "assistant", "content": whole[:4]}]
        more = self.chat(history, max_tokens=8, extra_body={"continue_final_message": True}).choices[0].message.content
        self.assertEqual(whole[:4] + more, whole)
        for wrong in ({"add_generation_prompt": True}, {"messages": HELLO}):
            with self.assertRaises(openai.BadRequestError):
                self.chat(**{"messages": history, "extra_body": {"continue_final_message": True, **wrong}})

    def test_what_has_no_effect_is_told(self):
        raw = self.client.chat.completions.with_raw_response
        self.assertNotIn("x-quern-ignored", raw.create(messages=HELLO, **PLAIN).headers)
        answer = raw.create(messages=HELLO, store=True, user="me", **PLAIN)
        self.assertEqual({*answer.headers["x-quern-ignored"].split(", ")}, {"store", "user"})

    def test_a_prefix_is_reused(self):
        messages = [{"role": "user", "content": "a prefix of its own " * 12}]
        first = self.chat(messages)
        again = self.chat(messages)
        self.assertEqual(again.choices[0].message.content, first.choices[0].message.content)
        self.assertGreater(again.usage.prompt_tokens_details.cached_tokens, 0)
        self.assertLess(again.usage.prompt_tokens_details.cached_tokens, again.usage.prompt_tokens)


class Completions(OpenAICase):
    def test_prompts(self):
        text = self.complete().choices[0].text
        self.assertRegex(text, "^[a-z]{12}$")
        several = self.complete(["hello", "other"])
        self.assertEqual([choice.index for choice in several.choices], [0, 1])
        self.assertEqual(several.choices[0].text, text)
        ids = self.live.json("/tokenize", {"model": "default", "content": "hello"})["tokens"]
        self.assertEqual(self.complete(ids).choices[0].text, text)
        self.assertEqual("".join(chunk.choices[0].text for chunk in self.complete(stream=True) if chunk.choices), text)

    def test_echo(self):
        text = self.complete().choices[0].text
        choice = self.complete(echo=True, logprobs=2).choices[0]
        self.assertEqual(choice.text, "hello" + text)
        logprobs = choice.logprobs
        self.assertEqual("".join(logprobs.tokens), choice.text)
        ends = [*itertools.accumulate(map(len, logprobs.tokens))]
        self.assertEqual(logprobs.text_offset, [0, *ends[:-1]])
        self.assertIsNone(logprobs.token_logprobs[0])
        self.assertTrue(all(value <= 0 for value in logprobs.token_logprobs[1:]))
        self.assertGreaterEqual(min(map(len, logprobs.top_logprobs[1:])), 2)
        self.assertEqual(self.complete(echo=True, max_tokens=0, logprobs=1).choices[0].text, "hello")

    def test_a_prompt_is_scored_as_it_would_be_generated(self):
        ids = self.live.json("/tokenize", {"content": "hello"})["tokens"]
        made = self.complete(ids, logprobs=0, logit_bias={})
        more = self.live.json("/tokenize", {"content": made.choices[0].text})["tokens"]
        scored = self.complete([*ids, *more], logprobs=0, echo=True, max_tokens=0, logit_bias={})
        if "".join(made.choices[0].logprobs.tokens) == made.choices[0].text:  # else the text has other tokens
            self.assertEqual(scored.choices[0].logprobs.token_logprobs[len(ids):], made.choices[0].logprobs.token_logprobs)
        self.assertEqual((scored.usage.completion_tokens, scored.usage.prompt_tokens), (0, len(ids) + len(more)))

    def test_several_streams(self):
        prompts = ["hello", "other"]
        whole = [choice.text for choice in self.complete(prompts, n=2, seed=4, temperature=1, echo=True).choices]
        texts, order = [""] * 4, []
        for chunk in self.complete(prompts, n=2, seed=4, temperature=1, echo=True, stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.text
                order.append(choice.index)
        self.assertEqual(texts, whole)
        self.assertNotEqual(order, sorted(order))  # together, not one after the other

    def test_one_bad_prompt_ends_them_all(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.complete(["hello", "z" * 3000], max_tokens=900)
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.complete([[1, 2], [999999]])
        self.assertEqual(caught.exception.param, "prompt[1]")

    def test_best_of(self):
        answer = self.complete(best_of=4, n=2, temperature=1, seed=5, logprobs=1)
        self.assertEqual((len(answer.choices), answer.usage.completion_tokens), (2, 4 * 12))
        means = [sum(choice.logprobs.token_logprobs) / 12 for choice in answer.choices]
        self.assertEqual(means, sorted(means, reverse=True))

    def test_suffix_is_refused_by_name(self):
        with self.assertRaisesRegex(openai.BadRequestError, "suffix") as caught:
            self.complete(suffix="tail")
        self.assertEqual(caught.exception.param, "suffix")


class Embeddings(OpenAICase):
    def test_float_and_base64(self):
        floats = self.client.embeddings.create(model="default", input=["one", "two"], encoding_format="float")
        self.assertEqual([entry.index for entry in floats.data], [0, 1])
        self.assertNotEqual(floats.data[0].embedding, floats.data[1].embedding)
        self.assertGreater(floats.usage.prompt_tokens, 0)
        default = self.lenient.embeddings.create(model="default", input="one")  # base64, decoded by the package
        self.assertEqual([*default.data[0].embedding], floats.data[0].embedding)
        raw = self.live.json("/v1/embeddings", {"model": "default", "input": "one", "encoding_format": "base64"})
        data = base64.b64decode(raw["data"][0]["embedding"], validate=True)
        self.assertEqual([*struct.unpack(f"<{len(data) // 4}f", data)], floats.data[0].embedding)
        self.assertEqual(raw["pooling"], "mean of last states")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.embeddings.create(model="default", input="one", dimensions=7)
        self.assertEqual(caught.exception.param, "dimensions")


class Responses(OpenAICase):
    def test_text(self):
        answer = self.client.responses.create(model="default", input="hello", instructions="be brief", temperature=0,
                                              max_output_tokens=16)
        self.assertEqual((answer.object, answer.output[0].type, answer.output[0].role), ("response", "message", "assistant"))
        self.assertEqual(answer.output_text, answer.output[0].content[0].text)
        self.assertLessEqual(answer.usage.output_tokens, 16)
        self.assertEqual(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens)
        if answer.usage.output_tokens == 16:
            self.assertEqual((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"))
        messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
        same = self.client.responses.create(model="default", input=messages, temperature=0, max_output_tokens=16)
        self.assertEqual(same.output_text, answer.output_text)

    def test_events(self):
        settings = {"model": "default", "input": "hello", "temperature": 0, "max_output_tokens": 16}
        whole = self.client.responses.create(**settings)
        events = [*self.client.responses.create(stream=True, **settings)]
        self.assertEqual([event.sequence_number for event in events], [*range(len(events))])
        kinds = [event.type for event in events]
        self.assertEqual(kinds[:4], ["response.created", "response.in_progress", "response.output_item.added",
                                     "response.content_part.added"])
        self.assertEqual(kinds[-4:], ["response.output_text.done", "response.content_part.done",
                                      "response.output_item.done", f"response.{whole.status}"])
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        self.assertEqual(len(deltas), len(kinds) - 8)
        self.assertEqual("".join(deltas), whole.output_text)
        self.assertEqual(events[-1].response.output_text, whole.output_text)
        with self.client.responses.stream(**settings) as stream:
            self.assertEqual("".join(event.delta for event in stream if event.type == "response.output_text.delta"),
                             whole.output_text)


class Errors(OpenAICase):
    def test_bad_requests(self):
        for settings in ({"temperature": -1}, {"max_tokens": -3}, {"top_p": 7}, {"n": 0}, {"top_logprobs": 3},
                         {"logit_bias": {"x": 1}}, {"messages": []}, {"messages": [{"role": "user"}]}, {"n": 99},
                         {"tools": [{"type": "function"}]}, {"response_format": {"type": "xml"}},
                         {"stream_options": {"include_usage": True}}, {"stop": ["x"] * 65}, {"max_completion_tokens": 11},
                         {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}):
            with self.subTest(settings), self.assertRaises(openai.BadRequestError) as caught:
                self.chat(**settings)
            error = caught.exception
            self.assertEqual(error.type, "invalid_request_error")
            self.assertIn(error.param.split(".")[0].split("[")[0], settings)

    def test_too_long(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat([{"role": "user", "content": "z" * 3000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        self.assertRegex(caught.exception.message, r"1,?024")

    def test_not_found(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.chat(model="no-such-model")
        self.assertEqual(caught.exception.code, "model_not_found")
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("no-such-model")
        with self.assertRaises(openai.NotFoundError):
            self.client.images.generate(prompt="x")


class Keys(unittest.TestCase):
    def test_wrong_missing_and_too_many(self):
        file = tiny().parent / "keys.txt"
        lines = [f"{name} sha256:{hashlib.sha256(name.encode()).hexdigest()}{more}"
                 for name, more in (("alice", ""), ("bob", " requests_per_minute=2"))]
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        with Live([tiny()], api_keys=file, metrics_key="false") as live:
            for key in ("mallory", "alice2", "Alice"):
                with self.assertRaises(openai.AuthenticationError) as caught, client_of(live, key) as client:
                    client.models.list()
                self.assertEqual(caught.exception.code, "invalid_api_key")
            self.assertEqual(live.status("/v1/models"), 401)
            with client_of(live, "alice") as client:
                self.assertEqual(len({client.chat.completions.create(messages=HELLO, **PLAIN).id for _ in range(4)}), 4)
            with client_of(live, "bob") as client, self.assertRaises(openai.RateLimitError) as caught:
                for _ in range(3):
                    client.chat.completions.create(messages=HELLO, **PLAIN)
            self.assertGreater(float(caught.exception.response.headers["retry-after"]), 0)


class Cancellation(OpenAICase):
    def test_a_closed_stream_frees_its_slot(self):
        """The streams are long and unread: the server holds them back until the client hangs up."""
        before = self.live.metric("quern_cancellations_total")
        streams = [self.chat(n=4, max_tokens=900, logprobs=True, top_logprobs=20, stream=True) for _ in range(2)]
        for stream in streams:
            self.assertTrue(next(stream).choices)
        self.assertGreater(self.live.slots_used(), 0)
        for stream in streams:
            stream.close()
        self.live.wait(lambda: self.live.slots_used() == 0, START_S, "the slots of a client that went away")
        self.assertGreater(self.live.metric("quern_cancellations_total"), before)


if __name__ == "__main__":
    unittest.main()
