"""Texts sampled under JSON schemas at temperature 1.5 are valid, each of them, and end: schemas made by hypothesis and
those of the JSON Schema test suite (draft 2020-12), each refused by name or sampled. What is refused is counted by keyword.

    schemas_test.py SAMPLE_GRAMMARS WRITE_TINY_MODEL SUITE [--all] [--model FILE]...   (SUITE: the folder draft2020-12)

The model is a tiny one of random weights, for --model others as well; --all takes 2,000 generated schemas."""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import jsonschema_rs

import generated

FEW, ALL = 250, 2000
TEMPERATURE = 1.5
# The most that may be refused, of those that something satisfies: the test cannot pass by refusing.
REFUSED_GENERATED, REFUSED_SUITE = 0.35, 0.65


def any_of(validator, branches, instance, schema):
    return jsonschema.Draft202012Validator.VALIDATORS["anyOf"](validator, branches, instance, schema)


Draft = jsonschema.Draft202012Validator
Loose = jsonschema.validators.extend(Draft, {"oneOf": any_of})  # for schemas whose oneOf quern said to read as anyOf


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def no_repeats(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"a name is there twice: {names}")
    return dict(pairs)


def sample(program, model, texts, seed):
    """The answers of sample_grammars to the schemas' texts."""
    lines = "".join(json.dumps({"id": i, "schema": text}) + "\n" for i, text in enumerate(texts))
    done = subprocess.run([program, model, "--seed", str(seed), "--temperature", str(TEMPERATURE), "--max-tokens", "300"], input=lines,
                          text=True, encoding="utf-8", stdout=subprocess.PIPE, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a["id"] for a in answers] == list(range(len(texts))), "answers are missing"
    return answers


def complaint(schema, answer):
    """What is wrong with a sampled text, or None."""
    if "failed" in answer:
        return answer["failed"]
    if answer["reason"] not in ("end_of_text", "max_tokens"):
        return f"it ended by {answer['reason']}"
    try:
        value = json.loads(answer["text"], object_pairs_hook=no_repeats, parse_constant=no_constant)
    except ValueError as error:
        return f"no JSON: {error}"
    loose = any("oneOf" in warning for warning in answer["warnings"])
    error = jsonschema.exceptions.best_match((Loose if loose else Draft)(schema, format_checker=Draft.FORMAT_CHECKER).iter_errors(value))
    if error is not None:
        return f"jsonschema: {error.message}"
    if not loose:  # a second opinion, stricter about formats
        error = next(jsonschema_rs.Draft202012Validator(schema, validate_formats=True).iter_errors(value), None)
        if error is not None:
            return f"jsonschema_rs: {error.message}"
    return None


def keyword(answer):
    """The keyword that a refusal names, for the table."""
    found = re.search(r"[\"'`]?(\$?[a-z][A-Za-z]+)[\"'`]?", answer["refused"])
    return found[1] if found else answer["refused"]


class Tally:
    def __init__(self, title):
        self.title, self.refused, self.reasons, self.wrong = title, collections.Counter(), collections.Counter(), []

    def add(self, name, schema, answer, valid=()):
        if "refused" not in answer:
            self.reasons[answer.get("reason", "failed")] += 1
            wrong = complaint(schema, answer)
        elif answer["code"] == "unsupported":
            self.refused[keyword(answer)] += 1
            wrong = None
        else:  # nothing satisfies it, or it is no schema: then no instance is valid
            self.reasons[answer["code"]] += 1
            wrong = f"refused, but {json.dumps(valid[0])} is valid" if valid else None
        if wrong:
            self.wrong.append(f"{name}: {wrong}\n  schema: {json.dumps(schema)[:2000]}\n  answer: {json.dumps(answer)[:2000]}")

    def check(self, most_refused):
        sampled = self.reasons["end_of_text"] + self.reasons["max_tokens"]
        refused = sum(self.refused.values())
        print(f"{self.title}: {sampled} sampled, {refused} refused by name; {dict(self.reasons)}")
        for word, count in self.refused.most_common():
            print(f"  {count:5} {word}")
        for line in self.wrong[:20]:
            print(line)
        assert not self.wrong, f"{self.title}: {len(self.wrong)} are wrong"
        assert refused <= most_refused * (refused + sampled), f"{self.title}: {refused} of {refused + sampled} are refused"


def main():
    args = argparse.ArgumentParser()
    args.add_argument("sample_grammars")
    args.add_argument("write_tiny_model")
    args.add_argument("suite")
    args.add_argument("--all", action="store_true")
    args.add_argument("--model", action="append", default=[])
    args = args.parse_args()
    schemas = generated.generated(ALL if args.all else FEW)
    cases = list(generated.suite(args.suite))
    assert len(cases) > 400, "the test suite is not whole"
    with tempfile.TemporaryDirectory() as folder:
        tiny = pathlib.Path(folder) / "tiny.gguf"
        subprocess.run([args.write_tiny_model, "llama", tiny], check=True)
        for model in [tiny, *args.model]:
            name = pathlib.Path(model).name
            answers = sample(args.sample_grammars, model, [json.dumps(s) for s in schemas] + [json.dumps(c[1]) for c in cases], generated.SEED)
            tally = Tally(f"{name}, generated")
            for i, (schema, answer) in enumerate(zip(schemas, answers)):
                tally.add(f"generated {i}", schema, answer)
            tally.check(REFUSED_GENERATED)
            tally = Tally(f"{name}, test suite")
            for (title, schema, valid), answer in zip(cases, answers[len(schemas):]):
                tally.add(title, schema, answer, valid)
            tally.check(REFUSED_SUITE)


if __name__ == "__main__":
    main()
