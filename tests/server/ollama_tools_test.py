"""Tool calls, thinking and structured output by the official `ollama` package, on a tiny model that writes what the
grammar leaves it."""

import json
import unittest

import jsonschema_rs
import ollama

from live import START_S, CallerCase

HELLO = [{"role": "user", "content": "hello"}]
OPTIONS = {"temperature": 1.5, "repeat_penalty": 1, "num_predict": 300}
SCHEMA = {"type": "object", "required": ["unit", "days"], "additionalProperties": False,
          "properties": {"unit": {"enum": ["celsius", "fahrenheit"]}, "days": {"type": "integer", "minimum": 1, "maximum": 7}}}


def add(first: int, second: int) -> int:
    """Add two numbers.

    Args:
      first: One of them
      second: The other
    """
    return first + second


class Caller(ollama.Client):
    """The client as it is, but the model has to call: a made-up one would not by itself."""

    def _request(self, *arguments, **settings):
        settings["json"]["tool_choice"] = "required"
        return super()._request(*arguments, **settings)


class ToolCase(CallerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        settings = {"host": cls.live.url, "timeout": START_S, "trust_env": False}
        cls.client = cls.enterClassContext(ollama.Client(**settings))
        cls.caller = cls.enterClassContext(Caller(**settings))


class Calls(ToolCase):
    def is_call(self, call):
        self.assertEqual(call.function.name, "add")
        self.assertEqual({*call.function.arguments}, {"first", "second"})
        self.assertIsInstance(add(**call.function.arguments), int)

    def test_the_clients_loop(self):
        messages = list(HELLO)
        for seed in range(3):
            answer = self.caller.chat("default", messages, tools=[add], options={**OPTIONS, "seed": seed})
            self.assertEqual((answer.message.content, answer.done), ("", True))
            messages.append(answer.message)
            for call in answer.message.tool_calls:
                self.is_call(call)
                messages.append({"role": "tool", "tool_name": call.function.name, "content": str(add(**call.function.arguments))})
        self.assertIsInstance(self.client.chat("default", messages, tools=[add], options=OPTIONS).message.content, str)

    def test_a_stream_has_the_same_calls(self):
        for seed in range(3):
            settings = {"model": "default", "messages": HELLO, "tools": [add], "options": {**OPTIONS, "seed": seed}}
            whole = self.caller.chat(**settings)
            chunks = [*self.caller.chat(stream=True, **settings)]
            streamed = [call for chunk in chunks for call in chunk.message.tool_calls or []]
            self.assertEqual([call.function for call in streamed], [call.function for call in whole.message.tool_calls])
            self.assertEqual("".join(chunk.message.content or "" for chunk in chunks), "")
            self.assertEqual([chunk.done for chunk in chunks], [False] * (len(chunks) - 1) + [True])
            self.assertEqual(chunks[-1].done_reason, whole.done_reason)

    def test_replayed_calls_are_the_tokens_sampled(self):
        body = {"model": "default", "tools": [{"function": {"name": "weather", "parameters": SCHEMA}}], "options": OPTIONS,
                "messages": HELLO, "tool_choice": "required", "stream": False}
        first = self.live.json("/api/chat", body)
        results = [{"role": "tool", "tool_name": "weather", "content": "12"} for _ in first["message"]["tool_calls"]]
        for call in first["message"]["tool_calls"]:
            jsonschema_rs.validator_for(SCHEMA).validate(call["function"]["arguments"])
            del call["id"]  # as clients do
        second = self.live.json("/api/chat", {**body, "messages": [*HELLO, first["message"], *results]})
        self.assertGreater(second["cached_tokens"], first["prompt_eval_count"] + first["eval_count"] - 17)

    def test_what_is_not_supported_is_refused_by_name(self):
        for member, value in (("tools", [{"type": "function"}]), ("tools", [1]), ("think", "deeply"), ("think", 1),
                              ("tools", [{"function": {"name": "x"}}, {"function": {"name": "x"}}]),
                              ("messages", [{"role": "assistant", "tool_calls": [{"function": {}}]}])):
            status, _, data = self.live.request("/api/chat", {"model": "default", "messages": HELLO, member: value})
            with self.subTest(f"{member} {value}"):
                self.assertEqual(status, 400)
                self.assertIn(f"'{member}", json.loads(data)["error"])
        both = {"model": "default", "messages": HELLO, "tools": [{"function": {"name": "x"}}], "format": "json"}
        self.assertEqual(self.live.request("/api/chat", both)[0], 400)


class Thinking(ToolCase):
    def test_it_has_a_member_of_its_own(self):
        options = {"temperature": 0, "num_predict": 40}
        whole = self.client.chat("default", HELLO, think=True, options=options).message
        self.assertTrue(whole.thinking)
        self.assertEqual(whole.content, "")
        chunks = [*self.client.chat("default", HELLO, think=True, stream=True, options=options)]
        self.assertEqual("".join(chunk.message.thinking or "" for chunk in chunks), whole.thinking)
        without = self.client.chat("default", HELLO, think=False, options=options).message
        self.assertIsNone(without.thinking)
        self.assertTrue(without.content)

    def test_generate_has_it_too(self):
        options = {"temperature": 0, "num_predict": 40}
        whole = self.client.generate("default", "hello", think=True, options=options)
        self.assertTrue(whole.thinking)
        self.assertEqual((whole.response, whole.eval_count), ("", 40))
        chunks = [*self.client.generate("default", "hello", think=True, stream=True, options=options)]
        self.assertEqual("".join(chunk.thinking or "" for chunk in chunks), whole.thinking)
        self.assertEqual("".join(chunk.response or "" for chunk in chunks), "")
        self.assertEqual(self.client.chat("default", HELLO, think=True, options=options).message.thinking, whole.thinking)
        for think in (False, None):
            without = self.client.generate("default", "hello", think=think, options=options)
            self.assertIsNone(without.thinking)
            self.assertTrue(without.response)
        # A context goes on, thinking or not.
        again = self.client.generate("default", "and?", think=True, context=whole.context, options=options)
        self.assertTrue(again.thinking)
        self.assertGreater(again.prompt_eval_count, len(whole.context))

    def test_what_cannot_think_is_refused_by_name(self):
        for more in ({"think": "deeply"}, {"think": True, "raw": True}):
            status, _, data = self.live.request("/api/generate", {"model": "default", "prompt": "x", **more})
            self.assertEqual((status, "'think'" in json.loads(data)["error"]), (400, True))
        self.assertEqual(self.client.generate("default", "x", think=False, raw=True, options={"num_predict": 2}).done, True)

    def test_it_goes_back_in_a_message(self):
        answer = self.client.chat("default", HELLO, think=True, options={"temperature": 0, "num_predict": 9})
        again = self.client.chat("default", [*HELLO, answer.message, *HELLO], options={"num_predict": 9})
        self.assertTrue(again.done)
        status, *_ = self.live.request("/api/chat", {"model": "default", "messages": [{"role": "assistant", "thinking": 1}]})
        self.assertEqual(status, 400)


class Formats(ToolCase):
    def test_a_schema(self):
        for seed in range(3):
            answer = self.client.chat("default", HELLO, format=SCHEMA, options={**OPTIONS, "seed": seed})
            jsonschema_rs.validator_for(SCHEMA).validate(json.loads(answer.message.content))
            text = self.client.generate("default", "hello", format=SCHEMA, options={**OPTIONS, "seed": seed}).response
            jsonschema_rs.validator_for(SCHEMA).validate(json.loads(text))

    def test_json(self):
        answer = self.client.chat("default", HELLO, format="json", options={**OPTIONS, "num_predict": 60})
        self.assertIsInstance(json.loads(answer.message.content), dict)


if __name__ == "__main__":
    unittest.main()
