"""Tool calls, reasoning and structured output by the official `openai` package, on a tiny model that writes what the
grammar leaves it."""

import json
import unittest

import jsonschema_rs
import openai
import pydantic

from live import START_S, CallerCase

HELLO = [{"role": "user", "content": "hello"}]
LETTERS = {str(ord(c)): 60 for c in "abcdefghijklmnopqrstuvwxyz"}
WEATHER = {"type": "object", "additionalProperties": False, "required": ["unit", "days"],
           "properties": {"unit": {"enum": ["celsius", "fahrenheit"]}, "days": {"type": "integer", "minimum": 1, "maximum": 7},
                          "hourly": {"type": "boolean"}}}
CLOCK = {"type": "object", "properties": {}, "additionalProperties": False}


def tool(name, parameters=None, **more):
    return {"type": "function", "function": {"name": name, "description": f"the {name}", "parameters": parameters or CLOCK, **more}}


TOOLS = [tool("weather", WEATHER, strict=True), tool("clock")]
SCHEMAS = {"weather": WEATHER, "clock": CLOCK}


class Answer(pydantic.BaseModel):
    good: bool
    kind: int | None
    steps: list[bool] = pydantic.Field(max_length=3)


class ToolCase(CallerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = cls.enterClassContext(openai.OpenAI(base_url=cls.live.url + "/v1", api_key="none", max_retries=0,
                                                         timeout=START_S))

    def chat(self, messages=HELLO, **settings):
        return self.client.chat.completions.create(messages=messages, **{"model": "default", "temperature": 1.5, "seed": 1,
                                                                         "max_tokens": 400, **settings})

    def call(self, messages=HELLO, **settings):
        return self.chat(messages, **{"tools": TOOLS, "tool_choice": "required", **settings})

    def is_call(self, call):
        jsonschema_rs.validator_for(SCHEMAS[call.function.name]).validate(json.loads(call.function.arguments))
        self.assertEqual(call.type, "function")
        self.assertTrue(call.id)

    def refused(self, param, text, **settings):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(**settings)
        self.assertEqual(caught.exception.param.split(".")[0].split("[")[0], param)
        self.assertIn(text, caught.exception.message)


class Calls(ToolCase):
    def test_required(self):
        ids = set()
        for seed in range(6):
            choice = self.call(seed=seed).choices[0]
            self.assertIsNone(choice.message.content)
            self.assertEqual(choice.finish_reason, "tool_calls")
            for call in choice.message.tool_calls:
                self.is_call(call)
                ids.add(call.id)
        self.assertGreaterEqual(len(ids), 6)

    def test_named_and_single(self):
        for seed in range(4):
            named = {"type": "function", "function": {"name": "weather"}}
            message = self.call(seed=seed, tool_choice=named, parallel_tool_calls=False).choices[0].message
            self.assertEqual([call.function.name for call in message.tool_calls], ["weather"])
            self.is_call(message.tool_calls[0])

    def test_auto_is_text_until_a_call_begins(self):
        choice = self.call(tool_choice="auto", temperature=0, logit_bias=LETTERS, max_tokens=12).choices[0]
        self.assertRegex(choice.message.content, "^[a-z]{12}$")
        self.assertIsNone(choice.message.tool_calls)
        self.assertEqual(choice.finish_reason, "length")

    def test_none_is_as_without_tools(self):
        settings = {"temperature": 0, "logit_bias": LETTERS, "max_tokens": 12}
        with_tools, without = self.call(tool_choice="none", **settings), self.chat(**settings)
        self.assertEqual(with_tools.usage.prompt_tokens, without.usage.prompt_tokens)
        self.assertEqual(with_tools.choices[0].message, without.choices[0].message)

    def test_several_answers(self):
        answer = self.call(n=3)
        for choice in answer.choices:
            for call in choice.message.tool_calls:
                self.is_call(call)
        ids = [call.id for choice in answer.choices for call in choice.message.tool_calls]
        self.assertEqual(len({*ids}), len(ids))

    def test_a_stream_accumulates_to_the_answer(self):
        for settings in ({}, {"n": 2}, {"logprobs": True, "top_logprobs": 1}):
            whole = self.call(**settings)
            n_logprobs = 0
            with self.client.chat.completions.stream(messages=HELLO, model="default", temperature=1.5, seed=1, max_tokens=400,
                                                     tools=TOOLS, tool_choice="required", **settings) as stream:
                for event in stream:
                    if event.type == "chunk":
                        n_logprobs += sum(len(c.logprobs.content or []) for c in event.chunk.choices if c.logprobs)
                streamed = stream.get_final_completion()
            for one, other in zip(streamed.choices, whole.choices, strict=True):
                self.assertEqual(one.finish_reason, "tool_calls")
                self.assertEqual([(c.function.name, c.function.arguments) for c in one.message.tool_calls],
                                 [(c.function.name, c.function.arguments) for c in other.message.tool_calls])
            if "logprobs" in settings:
                self.assertEqual(n_logprobs, len(whole.choices[0].logprobs.content))
                self.assertEqual(n_logprobs, whole.usage.completion_tokens)

    def test_a_cut_call_is_text_with_the_reason(self):
        whole = self.call(parallel_tool_calls=False).choices[0].message.tool_calls[0].function
        choice = self.call(parallel_tool_calls=False, stop=f'"{whole.name}"').choices[0]
        self.assertIsNone(choice.message.tool_calls)
        self.assertTrue(choice.message.content.startswith("<tool_call>"))
        self.assertEqual(choice.finish_reason, "stop")
        self.assertEqual(len(choice.model_extra["quern"]["call_problems"]), 1)
        *_, last = self.call(parallel_tool_calls=False, stop=f'"{whole.name}"', stream=True)
        self.assertEqual(len(last.choices[0].model_extra["quern"]["call_problems"]), 1)


class Loops(ToolCase):
    def turn_of(self, first):
        """What a client sends next: the message as it came, and a result for each call."""
        message = first.choices[0].message
        results = [{"role": "tool", "tool_call_id": call.id, "content": [{"type": "text", "text": "12"}]}
                   for call in message.tool_calls]
        return [*HELLO, message.model_dump(exclude_none=True), *results]

    def test_the_clients_loop(self):
        messages = list(HELLO)
        for seed in range(3):
            message = self.call(messages, seed=seed).choices[0].message
            messages.append(message)
            for call in message.tool_calls:
                self.is_call(call)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": "12"})
        choice = self.call(messages, tool_choice="auto", temperature=0, logit_bias=LETTERS, max_tokens=8).choices[0]
        self.assertRegex(choice.message.content, "^[a-z]{8}$")

    def test_definitions_are_a_cached_prefix(self):
        tools = [tool("weather", WEATHER), tool("a_tool_of_this_test")]
        first = self.call([{"role": "user", "content": "one"}], tools=tools)
        second = self.call([{"role": "user", "content": "two"}], tools=tools)
        self.assertEqual(first.usage.prompt_tokens, second.usage.prompt_tokens)
        self.assertGreater(second.usage.prompt_tokens_details.cached_tokens, second.usage.prompt_tokens - 64)

    def test_replayed_calls_are_the_tokens_sampled(self):
        for seed in range(3):
            first = self.call(seed=seed)
            turn = first.usage.prompt_tokens + first.usage.completion_tokens
            second = self.call(self.turn_of(first), seed=seed)
            # But for the last tokens of a page.
            self.assertGreater(second.usage.prompt_tokens_details.cached_tokens, turn - 17)
            self.assertGreater(second.usage.prompt_tokens, turn)

    def test_white_space_of_a_replayed_call_is_kept(self):
        message = self.call(parallel_tool_calls=False).choices[0].message.model_dump(exclude_none=True)
        function = message["tool_calls"][0]["function"]
        function["arguments"] = json.dumps(json.loads(function["arguments"]), separators=(",", ":"))
        results = [{"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "12"}]
        sent = {"messages": [*HELLO, message, *results], "tools": TOOLS, "max_tokens": 1}
        known = self.chat(**sent).usage.prompt_tokens_details.cached_tokens
        self.assertGreater(known, self.chat(tools=TOOLS, max_tokens=1).usage.prompt_tokens)


class Reasoning(ToolCase):
    def test_it_has_a_member_of_its_own(self):
        settings = {"temperature": 0, "logit_bias": LETTERS, "max_tokens": 12,
                    "extra_body": {"chat_template_kwargs": {"enable_thinking": True}}}
        message = self.chat(**settings).choices[0].message
        self.assertRegex(message.model_extra["reasoning_content"], "^[a-z]{12}$")
        self.assertEqual(message.content, "")
        pieces = [chunk.choices[0].delta for chunk in self.chat(stream=True, **settings)]
        self.assertEqual("".join((piece.model_extra or {}).get("reasoning_content", "") for piece in pieces),
                         message.model_extra["reasoning_content"])
        self.assertEqual("".join(piece.content or "" for piece in pieces), "")

    def test_a_required_call_may_follow_it(self):
        choice = self.call(max_tokens=300, extra_body={"chat_template_kwargs": {"enable_thinking": True}}).choices[0]
        for call in choice.message.tool_calls:
            self.is_call(call)


class Formats(ToolCase):
    def test_a_pydantic_model(self):
        for seed in range(4):
            answer = self.client.chat.completions.parse(model="default", messages=HELLO, response_format=Answer, seed=seed,
                                                        temperature=1.5, max_tokens=300)
            self.assertIsInstance(answer.choices[0].message.parsed, Answer)

    def test_json_object(self):
        for seed in range(3):
            choice = self.chat(response_format={"type": "json_object"}, seed=seed, max_tokens=60).choices[0]
            self.assertIsInstance(json.loads(choice.message.content), dict)

    def test_pydantic_tools(self):
        answer = self.client.chat.completions.parse(
            model="default", messages=HELLO, tools=[openai.pydantic_function_tool(Answer)], tool_choice="required", seed=1,
            temperature=1.5, max_tokens=300, parallel_tool_calls=False)
        self.assertIsInstance(answer.choices[0].message.tool_calls[0].function.parsed_arguments, Answer)


class ResponseCase(ToolCase):
    FLAT = [{"type": "function", **tool["function"]} for tool in TOOLS]
    HELLO = [{"role": "user", "content": "hello"}]

    def settings(self, **settings):
        body = {"seed": 1, **settings.pop("extra_body", {})}
        return {"model": "default", "input": self.HELLO, "temperature": 1.5, "max_output_tokens": 400, "extra_body": body, **settings}

    def respond(self, **settings):
        return self.client.responses.create(**self.settings(**settings))

    def calling(self, **settings):
        return {"tools": self.FLAT, "tool_choice": "required", **settings}

    def are_calls(self, answer):
        self.assertEqual((answer.status, {item.type for item in answer.output}), ("completed", {"function_call"}))
        for item in answer.output:
            jsonschema_rs.validator_for(SCHEMAS[item.name]).validate(json.loads(item.arguments))
            self.assertEqual(item.status, "completed")
            self.assertTrue(item.id.startswith("fc_") and item.call_id)

    def outputs_of(self, answer):
        return [{"type": "function_call_output", "call_id": item.call_id, "output": "12"} for item in answer.output]


class Responses(ResponseCase):
    LETTERS = {"temperature": 0, "max_output_tokens": 12, "extra_body": {"logit_bias": LETTERS}}

    def test_choices(self):
        named = {"type": "function", "name": "weather"}
        for seed in range(3):
            self.are_calls(self.respond(**self.calling(extra_body={"seed": seed})))
            answer = self.respond(**self.calling(tool_choice=named, parallel_tool_calls=False, extra_body={"seed": seed}))
            self.are_calls(answer)
            self.assertEqual([item.name for item in answer.output], ["weather"])
            self.assertEqual((answer.tool_choice.name, answer.parallel_tool_calls, len(answer.tools)), ("weather", False, 2))
        self.assertRegex(self.respond(tools=self.FLAT, **self.LETTERS).output_text, "^[a-z]{12}$")
        none, without = self.respond(tools=self.FLAT, tool_choice="none", **self.LETTERS), self.respond(**self.LETTERS)
        self.assertEqual((none.output_text, none.usage.input_tokens), (without.output_text, without.usage.input_tokens))

    def test_the_clients_loop(self):
        items = list(self.HELLO)
        for seed in range(3):
            answer = self.respond(**self.calling(input=items, extra_body={"seed": seed}))
            self.are_calls(answer)
            items += [*answer.output, *self.outputs_of(answer)]
        answer = self.respond(tools=self.FLAT, input=items, **self.LETTERS)
        self.assertRegex(answer.output_text, "^[a-z]{12}$")

    def test_replayed_calls_are_the_tokens_sampled(self):
        first = self.respond(**self.calling())
        again = [*self.HELLO, *(item.to_dict() for item in first.output), *self.outputs_of(first)]
        second = self.respond(**self.calling(input=again))
        turn = first.usage.input_tokens + first.usage.output_tokens
        self.assertGreater(second.usage.input_tokens_details.cached_tokens, turn - 17)

    def test_a_streamed_loop(self):
        items = list(self.HELLO)
        for seed in range(2):
            settings = self.settings(**self.calling(input=items, extra_body={"seed": seed}))
            whole = self.client.responses.create(**settings)
            with self.client.responses.stream(**settings) as stream:
                events = [*stream]
                final = stream.get_final_response()
            self.assertEqual([event.sequence_number for event in events], [*range(len(events))])
            pieces, done = {}, []
            for event in events:
                if event.type == "response.function_call_arguments.delta":
                    pieces[event.item_id] = pieces.get(event.item_id, "") + event.delta
                    self.assertEqual(event.snapshot, pieces[event.item_id])
                elif event.type == "response.output_item.added":
                    self.assertEqual((event.item.status, event.item.arguments), ("in_progress", ""))
                elif event.type == "response.function_call_arguments.done":
                    self.assertEqual(event.arguments, pieces[event.item_id])
                elif event.type == "response.output_item.done":
                    self.assertEqual(event.output_index, len(done))
                    done.append(event.item)
            self.are_calls(final)
            self.assertEqual([(item.name, item.arguments) for item in done],
                             [(item.name, item.arguments) for item in whole.output])
            self.assertEqual([item.call_id for item in final.output], [item.call_id for item in done])
            items += [*done, *self.outputs_of(final)]

    def test_a_cut_call_is_text_with_the_reason(self):
        cut = self.calling(max_output_tokens=60, tool_choice={"type": "function", "name": "weather"})
        whole = self.respond(**cut)
        self.assertEqual((whole.status, whole.incomplete_details.reason), ("incomplete", "max_output_tokens"))
        self.assertTrue(whole.output_text.startswith("<tool_call>"))
        self.assertEqual(len(whole.model_extra["quern"]["call_problems"]), 1)
        *_, last = self.respond(stream=True, **cut)  # there the call was begun
        self.assertEqual([(item.type, item.status) for item in last.response.output],
                         [("function_call", "incomplete"), ("message", "incomplete")])
        self.assertEqual(last.response.output_text, whole.output_text)

    def test_formats_still_hold(self):
        answer = self.client.responses.parse(model="default", input="hello", text_format=Answer, max_output_tokens=300)
        self.assertIsInstance(answer.output_parsed, Answer)


class ResponseReasoning(ResponseCase):
    THINK = {"reasoning": {"effort": "low"}, "temperature": 0, "max_output_tokens": 12, "extra_body": {"logit_bias": LETTERS}}

    def test_it_is_an_item(self):
        answer = self.respond(**self.THINK)
        (item,) = answer.output
        self.assertEqual((item.type, item.status, item.summary), ("reasoning", "incomplete", []))
        self.assertRegex(item.content[0].text, "^[a-z]{12}$")
        self.assertEqual(answer.usage.output_tokens_details.reasoning_tokens, 12)
        events = [*self.respond(stream=True, **self.THINK)]
        self.assertEqual("".join(e.delta for e in events if e.type == "response.reasoning_text.delta"), item.content[0].text)
        self.assertEqual(events[-1].response.output[0].content, item.content)
        without = self.respond(**{**self.THINK, "reasoning": {"effort": "none"}})
        self.assertEqual([item.type for item in without.output], ["message"])
        self.assertEqual(without.usage.output_tokens_details.reasoning_tokens, 0)
        # And back: an item of the same turn as the answer behind it.
        items = [*self.HELLO, item, {"role": "assistant", "content": "so"}, *self.HELLO]
        self.assertRegex(self.respond(**{**self.THINK, "input": items, "reasoning": {"effort": "none"}}).output_text, "^[a-z]+$")

    def test_calls_may_follow_it(self):
        answer = self.respond(**self.calling(reasoning={"effort": "high"}, max_output_tokens=300))
        kinds = [item.type for item in answer.output]
        self.assertEqual(kinds[0], "reasoning")
        self.assertEqual({*kinds[1:]} - {"function_call"}, set())
        self.assertGreater(answer.usage.output_tokens_details.reasoning_tokens, 0)
        events = [*self.respond(stream=True, **self.calling(reasoning={"effort": "high"}, max_output_tokens=300))]
        streamed = events[-1].response.output
        self.assertEqual([(item.type, item.content or item.arguments) if item.type == "reasoning" else item.arguments
                          for item in streamed],
                         [(item.type, item.content or item.arguments) if item.type == "reasoning" else item.arguments
                          for item in answer.output])


class ResponseRefusals(ResponseCase):
    def refused(self, param, why, **settings):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.respond(**settings)
        self.assertEqual(caught.exception.param, param)
        self.assertIn(why, caught.exception.message)

    def test_by_name(self):
        flat = self.FLAT
        self.refused("tools[0].type", "web_search", tools=[{"type": "web_search"}])
        self.refused("tools[1].type", "mcp", tools=[flat[1], {"type": "mcp", "server_label": "x"}])
        self.refused("tools[0].name", "string", tools=[{"type": "function"}])
        self.refused("tools[0].defer_loading", "not supported", tools=[{**flat[0], "defer_loading": True}])
        self.refused("tool_choice", "not in 'tools'", tools=flat, tool_choice={"type": "function", "name": "other"})
        self.refused("tool_choice", "must be", tools=flat, tool_choice={"type": "web_search"})
        self.refused("tool_choice", "has none", tool_choice="required")
        self.refused("text.format", "'tools'", tools=flat, text={"format": {"type": "json_object"}})
        self.refused("reasoning.summary", "not supported", reasoning={"summary": "auto"})
        self.refused("reasoning.effort", "must be", reasoning={"effort": "extreme"})
        for item, param, text in (({"type": "function_call_output", "call_id": "x", "output": "1"}, "call_id", "send the items"),
                                  ({"type": "web_search_call", "id": "x"}, "type", "web_search_call"),
                                  ({"type": "function_call", "call_id": "x", "name": "clock"}, "arguments", "string")):
            self.refused(f"input[1].{param}", text, input=[*self.HELLO, item])


class Refusals(ToolCase):
    def test_tools_that_are_none(self):
        for wrong, text in (([{"type": "function"}], "function"), ([{"type": "custom", "custom": {"name": "x"}}], "type"),
                            ([{"type": "function", "function": {}}], "name"), ([tool("two words")], "name"),
                            ([tool("x"), tool("x")], "'x'"), ([tool("x", strict=1)], "strict"),
                            ([{**tool("x"), "function": {"name": "x", "parameters": []}}], "parameters")):
            with self.subTest(wrong):
                self.refused("tools", text, tools=wrong)

    def test_a_schema_that_cannot_be_held(self):
        hard = {"type": "object", "properties": {"x": {"type": "string"}}, "minProperties": 1, "not": {"required": ["x"]}}
        self.refused("tools", "not", tools=[tool("hard", hard, strict=True)])
        raw = self.client.chat.completions.with_raw_response.create(model="default", messages=HELLO, max_tokens=4,
                                                                    tools=[tool("hard", hard)])
        self.assertIn("'hard'", raw.headers["x-quern-warning"])

    def test_choices_that_cannot_be_held(self):
        for choice, tools in (("required", openai.omit), ({"type": "function", "function": {"name": "other"}}, TOOLS),
                              ({"type": "function"}, TOOLS),
                              ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}, TOOLS)):
            with self.subTest(choice):
                self.refused("tool_choice", "tool", tool_choice=choice, tools=tools)
        self.refused("response_format", "tools", tools=TOOLS, response_format={"type": "json_object"})
        self.refused("functions", "tools", extra_body={"functions": [{"name": "x"}]})
        self.refused("function_call", "tool_choice", extra_body={"function_call": {"name": "x"}})

    def test_calls_in_messages_that_are_none(self):
        for calls in ("x", [1], [{"id": "a"}], [{"function": {"name": 1}}], [{"function": {"name": "x", "arguments": 1}}],
                      [{"id": 1, "function": {"name": "x", "arguments": "{}"}}]):
            with self.subTest(calls):
                self.refused("messages", "tool_calls", messages=[*HELLO, {"role": "assistant", "tool_calls": calls}])

    def test_ten_megabytes_of_tools(self):
        self.refused("tools", "bytes", tools=[tool(f"t{i}", description="x" * 10_000) for i in range(1000)])
        self.refused("tools", "1024", tools=[tool(f"t{i}") for i in range(2000)])
        self.assertEqual(self.live.status("/health"), 200)


if __name__ == "__main__":
    unittest.main()
