"""Texts sampled under JSON schemas at temperature 1.5 are valid, each of them, and end: schemas made by hypothesis and
those of the JSON Schema test suite (draft 2020-12), each refused by name or sampled. What is refused is counted by keyword.

    schemas_test.py SAMPLE_GRAMMARS WRITE_TINY_MODEL SUITE [--all | --few] [--model FILE]... [--no-tiny]

SUITE is the suite's folder. The model is a tiny one of random weights, with --model others as well. --all takes 3,000 generated schemas, of which over
2,000 are sampled; --few 40 and a fourth of the suite, for a build with sanitizers."""

import argparse
import collections
import decimal
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import jsonschema_rs

import generated

TINY = "tiny.gguf"
COUNT, FEW, ALL = 250, 40, 3000  # generated schemas
TEMPERATURE = 1.5
MAX_TOKENS, MAX_TINY_TOKENS, LONG = 300, 900, 4000  # what is not at its end by then is ended; the tiny model's tokens are bytes
# The most that may be refused, of those that something satisfies: the test cannot pass by refusing.
REFUSED_GENERATED, REFUSED_SUITE = 0.35, 0.65


def any_of(validator, branches, instance, schema):
    return jsonschema.Draft202012Validator.VALIDATORS["anyOf"](validator, branches, instance, schema)


def matches(regex, text):
    """As ECMA-262 reads it, not as Python's re does."""
    return jsonschema_rs.Draft202012Validator({"pattern": regex}).is_valid(text)


def pattern(validator, regex, instance, schema):
    if isinstance(instance, str) and not matches(regex, instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {regex!r}")


def pattern_properties(validator, patterns, instance, schema):
    for name, value in instance.items() if isinstance(instance, dict) else ():
        for regex, rule in patterns.items():
            if matches(regex, name):
                yield from validator.descend(value, rule, path=name, schema_path=regex)


def additional_properties(validator, rule, instance, schema):
    for name, value in instance.items() if isinstance(instance, dict) else ():
        if name not in schema.get("properties", ()) and not any(matches(p, name) for p in schema.get("patternProperties", ())):
            yield from validator.descend(value, rule, path=name)


def multiple_of(validator, divisor, instance, schema):
    """Of the decimal numbers as written: 1134.4352 is a multiple of 0.0001, of floats it is none."""
    is_number = isinstance(instance, (int, float)) and not isinstance(instance, bool)
    with decimal.localcontext(prec=2000):
        if is_number and decimal.Decimal(repr(instance)) % decimal.Decimal(repr(divisor)) != 0:
            yield jsonschema.ValidationError(f"{instance!r} is not a multiple of {divisor!r}")


Draft = jsonschema.validators.extend(jsonschema.Draft202012Validator, {
    "multipleOf": multiple_of, "pattern": pattern, "patternProperties": pattern_properties, "additionalProperties": additional_properties})
Loose = jsonschema.validators.extend(Draft, {"oneOf": any_of})  # for schemas whose oneOf quern said to read as anyOf
FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def names_of(schema):
    """The names that the schema lists somewhere, but for short ones, which a random text hits."""
    if isinstance(schema, list):
        return {name for part in schema for name in names_of(part)}
    if not isinstance(schema, dict):
        return set()
    listed = {name for name in schema.get("properties", ()) if len(name) > 1} if isinstance(schema.get("properties"), dict) else set()
    return listed | {name for part in schema.values() for name in names_of(part)}


def parse(text, listed):
    """As json.loads, but strict. Names that the schema does not list may be there twice: no grammar can remember them."""
    def members(pairs):
        names = collections.Counter(name for name, _ in pairs)
        twice = [name for name in listed if names[name] > 1]
        if twice:
            raise ValueError(f"listed names are there twice: {twice}")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=members, parse_constant=no_constant)


def sample(program, model, grammars, **settings):
    """The answers of sample_grammars to (kind, text) each, some hundreds at a time."""
    answers = []
    for begin in range(0, len(grammars), 250):
        part = enumerate(grammars[begin:begin + 250], begin)
        lines = "".join(json.dumps({"id": i, kind: text, **settings}) + "\n" for i, (kind, text) in part)
        most = MAX_TINY_TOKENS if pathlib.Path(model).name == TINY else MAX_TOKENS
        done = subprocess.run([program, model, "--seed", str(generated.SEED + begin), "--temperature", str(TEMPERATURE), "--max-tokens",
                               str(most), "--parallel", "16"], input=lines, text=True, encoding="utf-8", stdout=subprocess.PIPE, check=True)
        answers += [json.loads(line) for line in done.stdout.split("\n") if line]
    assert [a["id"] for a in answers] == list(range(len(grammars))), "answers are missing"
    return answers


def complaint(schema, answer):
    """What is wrong with a sampled text, or None."""
    if "failed" in answer:
        return answer["failed"]
    if answer["reason"] not in ("end_of_text", "max_tokens"):
        return f"it ended by {answer['reason']}"
    try:
        value = parse(answer["text"], names_of(schema))
    except ValueError as error:
        return f"no JSON: {error}"
    loose = any("oneOf" in warning for warning in answer["warnings"])
    error = jsonschema.exceptions.best_match((Loose if loose else Draft)(schema, format_checker=FORMATS).iter_errors(value))
    if error is not None:
        return f"jsonschema: {error.message}"
    if not loose:  # a second opinion, stricter about formats
        error = next(jsonschema_rs.Draft202012Validator(schema, validate_formats=True).iter_errors(value), None)
        if error is not None:
            return f"jsonschema_rs: {error.message}"
    return None


def is_valid(schema, value):
    try:
        return (Draft(schema, format_checker=FORMATS).is_valid(value)
                and jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(value))
    except RecursionError:  # a value that is what it is if it is what it is: no validator can say
        return False


def check_the_check():
    """Each of these has to be complained of: a checker that sees nothing finds nothing."""
    wrong = [({"type": "integer"}, '"1"', "end_of_text", ()), ({}, "[1", "end_of_text", ()), 
             ({"anyOf": [{"properties": {"id": {}}}]}, '{"id": 1, "id": 2}', "end_of_text", ()),
             ({}, "NaN", "end_of_text", ()), ({}, "1", "cancelled", ()), ({}, "1", "context_full", ()), ({}, "1 1", "max_tokens", ()),
             ({"multipleOf": 0.01}, "1.005", "end_of_text", ()),
             ({"pattern": r"^\p{Lu}$"}, '"a"', "end_of_text", ()), ({"oneOf": [{"minimum": 1}, {"maximum": 5}]}, "3", "end_of_text", ()),
             ({"oneOf": [{"minimum": 3}, {"maximum": 1}]}, "2", "end_of_text", ("#: oneOf is read as anyOf",)),
             *(({"format": name}, f'"{text}"', "end_of_text", ()) for name, text in
               [("date", "2023-02-30"), ("date-time", "2023-02-30T10:00:00Z"), ("uuid", "2eb8aa08"), ("email", "a@"), ("ipv4", "1.2.3.256")])]
    for schema, text, reason, warnings in wrong:
        assert complaint(schema, {"text": text, "reason": reason, "warnings": warnings}), (schema, text, reason)
    fine = {"text": "3", "reason": "max_tokens", "warnings": ["#: oneOf is read as anyOf"]}
    assert complaint({"oneOf": [{"minimum": 1}, {"maximum": 5}]}, fine) is None


NAMED = [r'the keyword "(\S+)"', r'(the format "\S+")', r"(\$ref) \"[^\"]*\" (?:leads to another|names)", r"(pattern), at byte", r": (a bound)", r": (multipleOf) has"]


def named(refusal):
    """The keyword that a refusal names, for the table; None when it names none."""
    return next((found[1] for found in (re.search(p, refusal) for p in NAMED) if found), None)


# Grammars of GBNF that a regular expression says too.
GBNF = {
    'root ::= item+\nitem ::= "- " [a-zé]{1,9} "\\n"  # a list': r"^(- [a-zé]{1,9}\n)+$",
    'root ::= sum "=" num\nsum ::= num (("+" | "-") num)*\nnum ::= "0" | [1-9] [0-9]{0,3}':
        r"^(0|[1-9]\d{0,3})([+-](0|[1-9]\d{0,3}))*=(0|[1-9]\d{0,3})$",
    'root ::= (yes |\n  no)\nyes ::= "yes" "!"?\nno ::= "no" ", " [^\\x00-\\x1f"]{2,20}': r'^(yes!?|no, [^\u0000-\u001f"]{2,20})$',
    'root ::= "{" [ぁ-ん] . "}" {2}': r"^\{[ぁ-ん](.|[\n\r\u2028\u2029])\}{2}$",
}


def sample_longer(program, model, schemas, answers):
    """Once more with more tokens, where even the shortest text has more than there were: such a text is cut."""
    cut = [i for i, a in enumerate(answers) if a.get("reason") == "max_tokens" and not is_json(a["text"])]
    again = sample(program, model, [("schema", json.dumps(schemas[i])) for i in cut], max_tokens=LONG)
    for i, answer in zip(cut, again):
        answers[i] = answer
    if cut:
        print(f"{pathlib.Path(model).name}: {len(cut)} were cut, and sampled again in up to {LONG} tokens")


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def check_patterns(program, model):
    """Texts under regular expressions and GBNF match, as a whole."""
    patterns = [p for p in generated.PATTERNS if p not in generated.NOT_REGULAR]
    answers = sample(program, model, [("regex", p) for p in patterns] + [("gbnf", g) for g in GBNF])
    for regex, answer in zip([f"^(?:{p})$" for p in patterns] + list(GBNF.values()), answers):
        assert answer.get("reason") in ("end_of_text", "max_tokens"), (regex, answer)
        assert jsonschema_rs.Draft202012Validator({"pattern": regex}).is_valid(answer["text"]), (regex, answer)
    for p in generated.NOT_REGULAR:
        (answer,) = sample(program, model, [("regex", p)])
        assert answer.get("code") == "unsupported", answer


class Tally:
    def __init__(self, title):
        self.title, self.refused, self.reasons, self.wrong = title, collections.Counter(), collections.Counter(), []

    def add(self, name, schema, answer, valid=()):
        if "refused" not in answer:
            try:
                wrong = complaint(schema, answer)
                self.reasons[answer.get("reason", "failed")] += 1
            except RecursionError:  # a value that is what it is if it is what it is: no validator can say
                wrong = None
                self.reasons["circular"] += 1
        elif answer["code"] == "unsupported":
            word = named(answer["refused"])
            self.refused[word] += 1
            wrong = None if word else "refused without the name of a keyword"
        elif answer["code"] == "invalid":  # nothing satisfies it, or it is no schema: then no instance is valid
            self.reasons["no text"] += 1
            # Grammars have some texts only of a format, so two formats may have none in common.
            guessed = generated.instances(schema) if json.dumps(schema).count('"format"') < 2 else []
            valid = [v for v in [*valid, *guessed] if is_valid(schema, v)]
            wrong = f"refused, but {json.dumps(valid[0])} is valid" if valid else None
        else:
            wrong = "refused for its size"
        if wrong:
            self.wrong.append(f"{name}: {wrong}\n  schema: {json.dumps(schema)[:2000]}\n  answer: {json.dumps(answer)[:2000]}")

    def wrong_of(self, most_refused):
        """Prints the tally; a line for each thing that is wrong."""
        sampled = self.reasons["end_of_text"] + self.reasons["max_tokens"]
        refused = sum(self.refused.values())
        print(f"{self.title}: {sampled} sampled, {refused} refused by name; {dict(self.reasons)}")
        for word, count in self.refused.most_common():
            print(f"  {count:5} {word}")
        for line in self.wrong[:20]:
            print(line)
        found = [f"{self.title}: {len(self.wrong)} are wrong"] if self.wrong else []
        if self.reasons["circular"] > 0.02 * sampled:
            found.append(f"{self.title}: too many were not judged")
        if refused > most_refused * (refused + sampled):
            found.append(f"{self.title}: {refused} of {refused + sampled} are refused")
        sys.stdout.flush()
        return found


def main():
    args = argparse.ArgumentParser()
    args.add_argument("sample_grammars")
    args.add_argument("write_tiny_model")
    args.add_argument("suite")
    args.add_argument("--all", dest="count", action="store_const", const=ALL, default=COUNT)
    args.add_argument("--few", dest="count", action="store_const", const=FEW)
    args.add_argument("--model", action="append", default=[])
    args.add_argument("--no-tiny", action="store_true", help="the models named alone")
    args = args.parse_args()
    check_the_check()
    schemas = generated.generated(args.count)
    cases = list(generated.suite(pathlib.Path(args.suite) / "tests" / "draft2020-12"))
    assert len(cases) > 400, "the test suite is not whole"
    if args.count == FEW:
        cases = cases[::4]
    with tempfile.TemporaryDirectory() as folder:
        tiny = pathlib.Path(folder) / TINY
        subprocess.run([args.write_tiny_model, "llama", tiny], check=True)
        all_wrong = []
        for model in [*args.model] if args.no_tiny else [tiny, *args.model]:
            name = pathlib.Path(model).name
            answers = sample(args.sample_grammars, model, [("schema", json.dumps(s)) for s in schemas + [c[1] for c in cases]])
            sample_longer(args.sample_grammars, model, schemas + [c[1] for c in cases], answers)
            tally = Tally(f"{name}, generated")
            for i, (schema, answer) in enumerate(zip(schemas, answers)):
                tally.add(f"generated {i}", schema, answer)
            all_wrong += tally.wrong_of(REFUSED_GENERATED)
            tally = Tally(f"{name}, test suite")
            for (title, schema, valid), answer in zip(cases, answers[len(schemas):]):
                tally.add(title, schema, answer, valid)
            all_wrong += tally.wrong_of(REFUSED_SUITE)
            check_patterns(args.sample_grammars, model)
    assert not all_wrong, "\n".join(all_wrong)


if __name__ == "__main__":
    main()
