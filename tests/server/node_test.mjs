// The official openai and ollama packages against the server at QUERN_URL; run by node_test.py.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import OpenAI from 'openai';

const url = process.env.QUERN_URL;
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 60_000 });
const ollama = new Ollama({ host: url });

const letters = Object.fromEntries([...'abcdefghijklmnopqrstuvwxyz'].map((c) => [c.charCodeAt(0), 60]));
const messages = [{ role: 'user', content: 'hello' }];
const plain = { model: 'default', messages, logit_bias: letters, temperature: 0, max_tokens: 12 };
const options = { num_predict: 12, temperature: 0 };

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

test('openai: models', async () => {
  const models = await collect(await openai.models.list());
  assert.ok(models.length >= 1);
  assert.equal((await openai.models.retrieve(models[0].id)).id, models[0].id);
});

test('openai: chat and its stream', async () => {
  const whole = await openai.chat.completions.create(plain);
  const text = whole.choices[0].message.content;
  assert.match(text, /^[a-z]{12}$/);
  assert.equal(whole.usage.completion_tokens, 12);
  const chunks = await collect(
    await openai.chat.completions.create({ ...plain, stream: true, stream_options: { include_usage: true } }),
  );
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), text);
  assert.deepEqual(chunks.at(-1).usage.completion_tokens, 12);
  const helper = openai.chat.completions.stream(plain);
  assert.equal(await helper.finalContent(), text);
});

test('openai: completions, responses, embeddings', async () => {
  const { messages: _, ...rest } = plain;
  assert.match((await openai.completions.create({ ...rest, prompt: 'hello' })).choices[0].text, /^[a-z]{12}$/);
  const wanted = { model: 'default', input: 'hello', temperature: 0, max_output_tokens: 16 };
  const response = await openai.responses.create(wanted);
  const events = await collect(await openai.responses.create({ ...wanted, stream: true }));
  const deltas = events.filter((event) => event.type === 'response.output_text.delta').map((event) => event.delta);
  assert.equal(deltas.join(''), response.output_text);
  const decoded = await openai.embeddings.create({ model: 'default', input: 'one' });
  const floats = await openai.embeddings.create({ model: 'default', input: 'one', encoding_format: 'float' });
  assert.deepEqual([...decoded.data[0].embedding].map(Math.fround), floats.data[0].embedding.map(Math.fround));
});

test('openai: errors have their classes', async () => {
  await assert.rejects(openai.chat.completions.create({ ...plain, temperature: -1 }), OpenAI.BadRequestError);
  await assert.rejects(openai.chat.completions.create({ ...plain, model: 'no-such-model' }), OpenAI.NotFoundError);
});

test('openai: an aborted stream leaves the server well', async () => {
  const stream = await openai.chat.completions.create({ ...plain, max_tokens: 900, n: 4, stream: true });
  for await (const chunk of stream) {
    assert.ok(chunk.choices);
    break; // aborts the request
  }
  assert.match((await openai.chat.completions.create(plain)).choices[0].message.content, /^[a-z]{12}$/);
});

// Tools, on the model whose template knows them; a made-up one has to be told to call.
const parameters = {
  type: 'object',
  properties: { unit: { enum: ['celsius', 'fahrenheit'] } },
  required: ['unit'],
  additionalProperties: false,
};
const weather = { name: 'weather', description: 'the weather', parameters, strict: true };
const wanting = { model: 'caller', temperature: 1.5, seed: 1, tool_choice: 'required' };

function checkArguments(text) {
  const given = JSON.parse(text);
  assert.deepEqual(Object.keys(given), ['unit']);
  assert.ok(parameters.properties.unit.enum.includes(given.unit));
}

test('openai: the loop of chat tools, streamed too', async () => {
  const tools = [{ type: 'function', function: weather }];
  const conversation = [...messages];
  for (let round = 0; round < 2; ++round) {
    const request = { ...wanting, messages: conversation, tools, max_tokens: 400 };
    const { message, finish_reason } = (await openai.chat.completions.create(request)).choices[0];
    assert.equal(finish_reason, 'tool_calls');
    const streamed = await openai.chat.completions.stream(request).finalMessage();
    const functions = (calls) => calls.map((call) => [call.function.name, call.function.arguments]);
    assert.deepEqual(functions(streamed.tool_calls), functions(message.tool_calls));
    conversation.push(message);
    for (const call of message.tool_calls) {
      checkArguments(call.function.arguments);
      conversation.push({ role: 'tool', tool_call_id: call.id, content: '12' });
    }
  }
  let ran = 0; // by the package's own loop
  const run = (given) => {
    checkArguments(JSON.stringify(given));
    ran += 1;
    return '12';
  };
  const runnable = [{ type: 'function', function: { ...weather, parse: JSON.parse, function: run } }];
  const request = { ...wanting, messages, tools: runnable, max_tokens: 400 };
  await openai.chat.completions.runTools(request, { maxChatCompletions: 2 }).done();
  assert.ok(ran >= 2);
});

test('openai: the loop of responses, streamed too', async () => {
  const input = [...messages];
  const settings = { ...wanting, tools: [{ type: 'function', ...weather }], max_output_tokens: 400 };
  for (let round = 0; round < 2; ++round) {
    const whole = await openai.responses.create({ ...settings, input });
    const stream = openai.responses.stream({ ...settings, input });
    const events = await collect(stream);
    const final = await stream.finalResponse();
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, i) => i));
    assert.deepEqual(final.output.map((item) => item.arguments), whole.output.map((item) => item.arguments));
    const deltas = events.filter((event) => event.type === 'response.function_call_arguments.delta');
    assert.equal(deltas.map((event) => event.delta).join(''), final.output.map((item) => item.arguments).join(''));
    input.push(...whole.output);
    for (const call of whole.output) {
      assert.equal(call.type, 'function_call');
      checkArguments(call.arguments);
      input.push({ type: 'function_call_output', call_id: call.call_id, output: '12' });
    }
  }
  const last = await openai.responses.create({ ...settings, input, tool_choice: 'none', max_output_tokens: 4 });
  assert.equal(last.output[0].type, 'message');
});

test('ollama: tools and thinking', async () => {
  const settings = { model: 'caller', messages, options: { num_predict: 300, temperature: 1.5, seed: 1 } };
  const tools = [{ type: 'function', function: weather }];
  const { message } = await ollama.chat({ ...settings, tools, tool_choice: 'required' });
  for (const call of message.tool_calls) checkArguments(JSON.stringify(call.function.arguments));
  const results = message.tool_calls.map((call) => ({ role: 'tool', tool_name: call.function.name, content: '12' }));
  assert.ok((await ollama.chat({ ...settings, tools, messages: [...messages, message, ...results] })).done);
  const thinking = { model: 'caller', prompt: 'hello', think: true, options };
  const whole = await ollama.generate(thinking);
  assert.ok(whole.thinking.length > 0 && whole.response === '');
  const parts = await collect(await ollama.generate({ ...thinking, stream: true }));
  assert.equal(parts.map((part) => part.thinking ?? '').join(''), whole.thinking);
});

test('ollama: generate, chat and their streams', async () => {
  const generated = await ollama.generate({ model: 'default', prompt: 'hello', options });
  assert.equal(generated.done, true);
  assert.ok(generated.total_duration > 0 && generated.context.length > 0);
  const pieces = await collect(await ollama.generate({ model: 'default', prompt: 'hello', options, stream: true }));
  assert.equal(pieces.map((piece) => piece.response).join(''), generated.response);
  const chat = await ollama.chat({ model: 'default', messages, options });
  const parts = await collect(await ollama.chat({ model: 'default', messages, options, stream: true }));
  assert.equal(parts.map((part) => part.message.content).join(''), chat.message.content);
  assert.equal(parts.at(-1).done, true);
});

test('ollama: embed, list, show, ps, version, errors', async () => {
  assert.equal((await ollama.embed({ model: 'default', input: ['one', 'two'] })).embeddings.length, 2);
  assert.ok(Array.isArray((await ollama.list()).models));
  assert.ok((await ollama.show({ model: 'default' })).details.family);
  assert.equal((await ollama.ps()).models.length, 2);
  assert.match((await ollama.version()).version, /^\d+\.\d+/);
  await assert.rejects(ollama.generate({ model: 'no-such-model', prompt: 'x' }), { status_code: 404 });
});

// The tiny model may have said all before the client gets to abort.
test('ollama: abort', async () => {
  let aborted = false;
  for (let i = 0; i < 100 && !aborted; ++i) {
    const stream = await ollama.chat({ model: 'default', messages, options: { num_predict: 900, seed: i }, stream: true });
    try {
      for await (const part of stream) {
        assert.ok(part.message);
        stream.abort();
      }
    } catch (error) {
      assert.equal(error.name, 'AbortError');
      aborted = true;
    }
  }
  assert.ok(aborted);
});
