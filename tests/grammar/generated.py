"""Schemas to try grammars with: made by hypothesis, values in them by hypothesis-jsonschema; and those of the JSON Schema
test suite, which lies in the source package of jsonschema."""

import json
import pathlib
import re

from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st
from hypothesis_jsonschema import from_schema

SEED = 20

FORMATS = ["date", "date-time", "uuid", "email", "ipv4", "ipv6", "hostname", "uri", "time", "regex"]
NOT_REGULAR = [r"^(?!a)b", r"(a)\1"]
PATTERNS = ["^[a-z]+$", "^[A-Z]{2}-[0-9]{4}$", "[0-9]", "^(yes|no|maybe)$", "^.{3,7}$", r"^\d{1,3}(\.\d{1,3}){3}$", r"\w+@\w+",
            "^a.*b$", "^[^\"]*$", "é|日", r"^\S+( \S+)*$", "x{2,}y?", *NOT_REGULAR, "^$", r"\p{Lu}", r"^\u0041[\x42-D]$", "^a|b$"]
NAMES = st.sampled_from(["a", "b", "name", "id", "items", "properties", "é", "with space", "quote\"", "back\\slash", "/", "%25"]) | st.text(
    max_size=6)
SMALL = st.integers(0, 6)


def weighted(*kinds):
    """Of (weight, strategy); one_of takes each strategy once, however often it is named."""
    return st.sampled_from([strategy for weight, strategy in kinds for _ in range(weight)]).flatmap(lambda strategy: strategy)


INTEGERS = weighted((9, st.integers(-1000, 1000)), (1, st.integers(-2**70, 2**70)))
NUMBERS = weighted((5, INTEGERS), (4, st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3))),
                   (1, st.floats(allow_nan=False, allow_infinity=False)))
VALUES = from_schema({"type": ["null", "boolean", "integer", "number", "string"]}) | from_schema(True)


def keywords(required=(), **optional):
    """A dict that has each optional keyword or not."""
    return st.fixed_dictionaries({}, optional=optional).map(lambda more: {**dict(required), **more})


def ordered(least, most):
    """Nearly always the lesser value first: bounds that nothing meets are refused, and then show nothing."""
    def order(schema):
        if least in schema and most in schema and schema[least] > schema[most]:
            schema[least], schema[most] = schema[most], schema[least]
        return schema
    return order


def numbers(kind, values):
    closed = keywords({"type": kind}.items(), minimum=values, maximum=values).map(ordered("minimum", "maximum"))
    half = keywords({"type": kind}.items(), exclusiveMinimum=values, maximum=values).map(ordered("exclusiveMinimum", "maximum"))
    multiples = keywords({"type": kind}.items(), exclusiveMaximum=values, multipleOf=st.sampled_from([1, 2, 5, 0.5, 0.01]))
    return weighted((4, closed), (2, half), (1, multiples))


def texts(most, **more):
    return keywords({"type": "string"}.items(), minLength=SMALL, maxLength=st.integers(0, most), **more).map(ordered("minLength", "maxLength"))


def leaves():
    return st.one_of(
        st.sampled_from([{}, True, False, {"type": "boolean"}, {"type": "null"}, {"type": "string"}, {"type": "number"},
                         {"type": "object"}, {"type": "array"}]),
        numbers("integer", INTEGERS), numbers("number", NUMBERS), texts(20), texts(30, pattern=st.sampled_from(PATTERNS)),
        st.sampled_from(FORMATS).map(lambda f: {"type": "string", "format": f}), texts(40, format=st.sampled_from(FORMATS)),
        st.lists(VALUES, min_size=1, max_size=5, unique_by=json.dumps).map(lambda v: {"enum": v}),
        VALUES.map(lambda v: {"const": v}),
        st.builds(lambda kinds, more: {"type": kinds, **more},
                  st.lists(st.sampled_from(["string", "integer", "number", "null", "boolean", "array", "object"]), min_size=1, max_size=4,
                           unique=True),
                  keywords(minimum=NUMBERS, maxLength=SMALL, maxItems=SMALL, enum=st.lists(VALUES, min_size=1, max_size=4,
                                                                                        unique_by=json.dumps))),
        st.sampled_from([{"$ref": "#"}, {"$ref": "#/$defs/one"}, {"$ref": "#/$defs/two"}, {"$ref": "#/$defs/two", "title": "two"}]))


def nodes(inner):
    arrays = keywords({"type": "array"}.items(), items=inner, minItems=SMALL, maxItems=SMALL,
                      prefixItems=st.lists(inner, min_size=1, max_size=3)).map(ordered("minItems", "maxItems"))
    rare = st.one_of(keywords(uniqueItems=st.booleans()), keywords(contains=inner, minContains=SMALL),
                     keywords(patternProperties=st.dictionaries(st.sampled_from(PATTERNS), inner, max_size=2)),
                     keywords(propertyNames=inner), keywords(minProperties=SMALL, maxProperties=SMALL),
                     keywords(dependentRequired=st.just({"a": ["b"]})), keywords(unevaluatedProperties=inner),
                     keywords(**{"not": inner}), keywords(**{"if": inner, "then": inner, "else": inner}))

    def an_object(properties, listed, others, more):
        names = list(dict.fromkeys([n for n, wanted in zip(properties, listed) if wanted] + others))
        return {"type": "object", "properties": properties, **({"required": names} if names else {}), **more}

    objects = st.builds(an_object, st.dictionaries(NAMES, inner, max_size=5), st.lists(st.booleans(), min_size=5, max_size=5),
                        st.just([]) | st.just([]) | st.just([]) | st.lists(NAMES, max_size=1),
                        keywords(additionalProperties=st.booleans() | inner))
    joined = st.builds(lambda word, all: {word: all}, st.sampled_from(["anyOf", "oneOf"]), st.lists(inner, min_size=1, max_size=3))
    # Of values that are objects on both sides, so that something is in both.
    both = st.builds(lambda o, word, all: {**o, word: all}, objects | st.just({}), st.sampled_from(["anyOf", "oneOf", "allOf", "allOf"]),
                     st.lists(objects, min_size=1, max_size=3))
    mixed = st.builds(lambda o, word, all: {**o, word: all}, leaves().filter(lambda s: isinstance(s, dict)),
                      st.sampled_from(["anyOf", "oneOf", "allOf"]), st.lists(leaves(), min_size=1, max_size=2))
    odd = st.builds(lambda o, more: {**o, **more}, objects | arrays, rare)
    # Objects and arrays are most of what people write; much of `mixed` has no value, and much of `odd` is refused.
    return weighted((6, objects), (3, arrays), (2, joined), (2, both), (1, mixed), (1, odd))


def written(schema):
    """Its text. Characters of the planes 4 to 11, where Unicode has none, become others: not every vocabulary has their bytes
    (SmolLM2's lacks F1 and F2), and then what must hold one cannot be written at all."""
    return re.sub("[\U00040000-\U000BFFFF]", lambda c: chr(0x10000 + ord(c[0]) % 0x10000), json.dumps(schema, ensure_ascii=False))


def with_definitions(schema, one, two):
    if not isinstance(schema, dict) or "$ref" not in json.dumps(schema):
        return schema
    return {**schema, "$defs": {"one": one, "two": two}}


def generated(count):
    """`count` different schemas, the same ones each time."""
    trees = st.recursive(leaves(), nodes, max_leaves=8)
    strategy = st.builds(with_definitions, nodes(trees) | trees, trees, trees)
    found = {}
    for start in range(count):  # many short rounds: within one, hypothesis varies what it has made before
        @seed(SEED + start)
        @settings(max_examples=100, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(strategy)
        def collect(schema):
            if len(found) < count:
                found.setdefault(written(schema))

        collect()
        if len(found) == count:
            return [json.loads(text) for text in found]
    raise AssertionError(f"only {len(found)} different schemas")


def instances(schema):
    """Some values that the schema may accept, as far as hypothesis-jsonschema finds any."""
    found = []

    @seed(SEED)
    @settings(max_examples=10, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(from_schema({"$schema": "http://json-schema.org/draft-07/schema#", **schema} if isinstance(schema, dict) else schema))
    def collect(value):
        found.append(value)

    try:
        collect()
    except Exception:  # nothing accepts it, or the library cannot follow the schema
        pass
    return found


def suite(folder):
    """(name, schema, valid instances) of each case of draft 2020-12, its optional parts too."""
    folder = pathlib.Path(folder)
    for file in sorted(folder.rglob("*.json")):
        for case in json.loads(file.read_text()):
            yield (f"{file.relative_to(folder).with_suffix('')}: {case['description']}", case["schema"],
                   [t["data"] for t in case["tests"] if t["valid"]])
