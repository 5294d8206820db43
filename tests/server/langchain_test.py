"""LangChain's `langchain-openai` against a live server."""

import asyncio
import unittest

import httpx2
import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

from live import START_S, LiveCase, tiny_caller

LETTERS = {str(ord(c)): 60 for c in "abcdefghijklmnopqrstuvwxyz"}


class LangChain(LiveCase):
    def settings(self, **more):
        return {"base_url": self.live.url + "/v1", "api_key": "none", "model": "default", "max_retries": 0,
                "timeout": START_S, **more}

    def chat(self, **more):
        return ChatOpenAI(**self.settings(temperature=0, max_tokens=12, stream_usage=True, logit_bias=LETTERS, **more))

    def test_chat(self):
        history = [SystemMessage("be brief"), HumanMessage("hello"), AIMessage("good day"), HumanMessage("again")]
        answer = self.chat().invoke(history)
        self.assertRegex(answer.content, "^[a-z]{12}$")
        self.assertEqual(answer.response_metadata["finish_reason"], "length")
        usage = answer.usage_metadata
        self.assertEqual((usage["output_tokens"], usage["total_tokens"]), (12, 12 + usage["input_tokens"]))
        self.assertIn("cache_read", usage["input_token_details"])

    def test_stream(self):
        chunks = [*self.chat().stream("hello")]
        total = chunks[0]
        for chunk in chunks[1:]:
            total += chunk
        whole = self.chat().invoke("hello")
        self.assertGreater(len(chunks), 12)
        self.assertEqual(total.content, whole.content)
        self.assertEqual(total.usage_metadata["output_tokens"], whole.usage_metadata["output_tokens"])

    def test_batch_and_async(self):
        prompts = ["one", "two", "three", "four"]
        alone = [self.chat().invoke(prompt).content for prompt in prompts]
        self.assertEqual([answer.content for answer in self.chat().batch(prompts)], alone)

        async def asynchronously():
            chat = self.chat()
            return [(await chat.ainvoke(prompt)).content for prompt in prompts]
        self.assertEqual(asyncio.run(asynchronously()), alone)

    def test_a_chain_with_stop(self):
        text = self.chat().invoke("hello").content
        stop = text[6:8]
        self.assertEqual(self.chat().bind(stop=[stop]).invoke("hello").content, text[:text.index(stop)])

    def test_responses(self):
        settings = self.settings(temperature=0, max_tokens=16, use_responses_api=True)
        answer = ChatOpenAI(**settings).invoke("hello")
        parts = [*ChatOpenAI(**settings).stream("hello")]
        self.assertEqual("".join(part.text for part in parts), answer.text)
        self.assertGreater(answer.usage_metadata["input_tokens"], 0)

    def test_completions(self):
        model = OpenAI(**self.settings(temperature=0, max_tokens=12, logit_bias=LETTERS))
        text = model.invoke("hello")
        self.assertRegex(text, "^[a-z]{12}$")
        self.assertEqual("".join(model.stream("hello")), text)

    def test_embeddings(self):
        # As text: the default counts tokens with a vocabulary that it would download.
        embeddings = OpenAIEmbeddings(**self.settings(check_embedding_ctx_length=False))
        documents = embeddings.embed_documents(["one", "two"])
        self.assertEqual(len(documents), 2)
        self.assertEqual(embeddings.embed_query("one"), documents[0])
        self.assertNotEqual(*documents)

    def test_errors(self):
        with self.assertRaises(openai.NotFoundError):
            ChatOpenAI(**self.settings(model="no-such-model")).invoke("hello")
        with self.assertRaises(openai.BadRequestError):
            self.chat().invoke("z" * 3000)
        nobody = ChatOpenAI(**{**self.settings(), "base_url": "http://127.0.0.1:1/v1"})
        with self.assertRaises((openai.APIConnectionError, httpx2.ConnectError)):
            nobody.invoke("hello")


class Tools(LiveCase):
    @classmethod
    def models(cls):
        return [tiny_caller()]

    def test_bound_tools_are_called(self):
        def add(first: int, second: int) -> int:
            """Add two numbers."""
            return first + second
        chat = ChatOpenAI(base_url=self.live.url + "/v1", api_key="none", model="default", max_retries=0, timeout=START_S,
                          temperature=1.5, seed=1, max_tokens=300, stream_usage=True)
        bound = chat.bind_tools([add], tool_choice="required", parallel_tool_calls=False)
        messages = [HumanMessage("hello")]
        for _ in range(2):
            answer = bound.invoke(messages)
            call, = answer.tool_calls
            self.assertEqual((call["name"], answer.invalid_tool_calls), ("add", []))
            messages += [answer, ToolMessage(str(add(**call["args"])), tool_call_id=call["id"])]
        total = None
        for chunk in bound.stream(messages):
            total = chunk if total is None else total + chunk
        self.assertEqual([call["name"] for call in total.tool_calls], ["add"])


if __name__ == "__main__":
    unittest.main()
