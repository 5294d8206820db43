"""A streaming client of chat completions, as light as it can be: it runs on the cores that it measures."""

import asyncio
import dataclasses
import json
import time


@dataclasses.dataclass
class Answer:
    """Times are seconds on one clock; `tokens` is what the server says in its usage."""
    start: float = 0
    times: list = dataclasses.field(default_factory=list)  # of each piece of text
    end: float = 0
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    text: str = ""
    error: str = ""

    @property
    def first(self):
        return self.times[0] - self.start

    @property
    def gaps(self):
        return [b - a for a, b in zip(self.times, self.times[1:])]


def request_bytes(host, port, body):
    payload = json.dumps(body).encode()
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\nConnection: close\r\n\r\n")
    return head.encode() + payload


def note_event(answer, data, now, keep_text):
    """One `data:` line. Only the last one, with the usage, is parsed, and texts where they are wanted."""
    if data == b"[DONE]":
        return
    if b'"usage":{' in data or b'"usage": {' in data:
        usage = json.loads(data).get("usage") or {}
        answer.tokens = usage.get("completion_tokens", 0)
        answer.prompt_tokens = usage.get("prompt_tokens", 0)
        answer.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    if b'"content":"' in data and b'"content":""' not in data:
        answer.times.append(now)
    if keep_text:
        for choice in json.loads(data).get("choices", []):
            answer.text += choice.get("delta", {}).get("content") or ""


async def stream(host, port, body, keep_text=False, on_first=None):
    """Sends one request and reads its stream to the end."""
    answer = Answer(start=time.monotonic())
    body = {**body, "stream": True, "stream_options": {"include_usage": True}}
    try:
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
        writer.write(request_bytes(host, port, body))
        status = await reader.readline()
        if b" 200 " not in status:
            rest = await reader.read()
            answer.error = f"{status.decode().strip()}: {rest[-300:].decode(errors='replace')}"
        while not answer.error:
            line = await reader.readline()
            if not line:
                break
            if line.startswith(b"data: "):
                note_event(answer, line[6:].strip(), time.monotonic(), keep_text)
                if on_first and len(answer.times) == 1:
                    on_first()
                    on_first = None
        writer.close()
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        answer.error = repr(error)
    answer.end = time.monotonic()
    if not answer.error and not answer.times:
        answer.error = "no text came"
    return answer
