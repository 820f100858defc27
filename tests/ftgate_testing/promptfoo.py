"""Assertions of promptfoo with drawn texts: what it says, what they mean, and what we say.

``npm install promptfoo node@22`` makes a folder, and ``python -m ftgate_testing.promptfoo FOLDER``
writes ``tests/vectors/promptfoo.json`` by the promptfoo in it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pytest_ftgate.errors import ConfigurationError, FtgateError
from pytest_ftgate.readers.assertions import carry_assertions
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import FormatChecker
from pytest_ftgate.scoring.scorers import score_content
from pytest_ftgate.suite.formats import DeclaredFormat, json_schema_validator
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.score_rules import DeclaredScore

VECTORS = Path(__file__).parents[1] / "vectors"
#: How many pairs the vectors hold.
_KEPT = 1500


class Pair(NamedTuple):
    """An assertion as a configuration holds it, and the output of a model."""

    assertion: Mapping[str, Any]
    output: str

    @property
    def kind(self) -> str:
        """The type of the assertion."""
        return str(self.assertion["type"])


# What is drawn -----------------------------------------------------------------------------------

#: Parts of texts: case pairs, line breaks, blanks, marks of patterns and of lists, and JSON.
PIECES = (
    *("refund", "Refund", "REFUND", "re", "fund", "straße", "STRASSE", "ß", "ẞ", "ss", "SS"),
    *("İ", "i̇", "I", "ı", "i", "Σ", "ς", "σ", "ΟΔΟΣ", "οδος", "ſ", "s", "K", "k", "ﬁ", "fi"),
    *(
        "é",
        "e\u0301",
        "ǅ",
        "ǆ",
        "😀",
        "日本",
        "\n",
        "\r\n",
        "\r",
        "\u2028",
        " ",
        "  ",
        "\t",
        "\u00a0",
    ),
    *("%", "$", "$&", "(", ")", "[", "]", "}", "*", ".", "\\", "|", "^", "?", "+", "/", "-", "#"),
    *(",", ", ", '"', '""', "'", "a", "b", "a, b", '"a, b"', "a.b", "a*b", "7", "70", "1.5", "-3"),
    *("true", "null", '{"a": 1}', '{"a": 1, "b": [2]}', "[1]", '"refund"', '{"a":', "{", "NaN"),
)
#: Marks of Nunjucks, by which promptfoo renders a value first.
_NUNJUCKS = ("{{", "{%", "{#")
_PIECES = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
_VALUES = _PIECES.filter(lambda text: not any(mark in text for mark in _NUNJUCKS))
_NUMBERS = st.sampled_from([7, 0, -3, 1.5])
_JSON = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.5, "a", "refund", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)
_BASES = ("contains", "icontains", "equals", "starts-with")
_LISTS = tuple(f"{base}-{of}" for base in _BASES[:2] for of in ("any", "all"))
#: Patterns of JavaScript, each with what it means in Python; None for no pattern.
PATTERNS: Mapping[str, str | None] = {
    "refund": "refund",
    "^refund$": r"\Arefund\Z",
    "Refund|fund": "Refund|fund",
    r"\d+": "[0-9]+",
    r"^\d{2}": r"\A[0-9]{2}",
    r"\w\s\w": r"[A-Za-z0-9_][\s\ufeff][A-Za-z0-9_]",
    r"\bfund\b": r"(?a:\b)fund(?a:\b)",
    r"[^a]": r"[^a]",
    ".": "[^\n\r\u2028\u2029]",
    "^.$": "\\A[^\n\r\u2028\u2029]\\Z",
    r"a\.b": r"a\.b",
    r"a\/b|\/": "a/b|/",
    "[(]": r"\(",
    r"\$|%": r"\$|%",
    "(?<year>7)0": "70",
    "(?=re)": "(?=re)",
    "(?<!re)fund": "(?<!re)fund",
    r"(s)\1": "ss",
    r"\u0069": "i",
    "ß|İ": "ß|İ",
    "[İς]": "[İς]",
    "a{,2}": "a\\{,2\\}",
    "]": "]",
    "{": r"\{",
    "[]": r"(?!)",
    "[^]": r"[\s\S]",
    "(": None,
    "[": None,
    "*": None,
    r"\p{L}": r"p\{L\}",
    r"\Z": "Z",
    r"[\w-]+, b": "[A-Za-z0-9_-]+, b",
    "": None,
}
SCHEMAS = (
    {"type": "object"},
    {"type": "object", "required": ["a"]},
    {"properties": {"a": {"type": "integer", "minimum": 1}}},
    {"type": "array", "items": {"type": "number"}},
    {"type": ["string", "null"]},
    {"enum": [1, "refund", None]},
    {"additionalProperties": False, "properties": {"a": {}}},
)


def _parsed(output: str) -> Any:
    """Return *output* as JSON, as ``JSON.parse`` reads it.

    Raises:
        ValueError: it is none.
    """

    def refuse(name: str) -> Any:
        raise ValueError(name)

    return json.loads(output, parse_constant=refuse)


def _field(output: str, name: str) -> Any:
    value = _parsed(output)
    if value is None:
        raise ValueError(output)
    return value.get(name) if isinstance(value, dict) else None


def _units(text: str) -> int:
    """Return the length of *text* in JavaScript: a character beyond 16 bits counts twice."""
    return len(text.encode("utf-16-le")) // 2


def _broken(_: str) -> Any:
    raise ValueError("promptfoo refuses what the code returns, or the code")


def _is_one(value: Any) -> bool:
    return value == 1 and value is not True


#: Code of JavaScript, and what it says of an output. Where it throws, so does Python.
CODE: Mapping[str, Callable[[str], Any]] = {
    "output.includes('refund')": lambda o: "refund" in o,
    "!output.includes('re')": lambda o: "re" not in o,
    "output.length > 6": lambda o: _units(o) > 6,
    "output.length <= 6 && output.includes('a')": lambda o: _units(o) <= 6 and "a" in o,
    "output.length": _units,
    "output.length / 10": lambda o: _units(o) / 10,
    "output.toLowerCase().includes('refund') || output.includes('ß')": lambda o: (
        "refund" in o.lower() or "ß" in o
    ),
    "/^refund/.test(output)": lambda o: o.startswith("refund"),
    "JSON.parse(output).a === 1": lambda o: _is_one(_field(o, "a")),
    "typeof JSON.parse(output) === 'object'": lambda o: (
        _parsed(o) is None or isinstance(_parsed(o), dict | list)
    ),
    "const data = JSON.parse(output); Array.isArray(data)": lambda o: isinstance(_parsed(o), list),
    "const text = output.trim(); text === 'refund';": lambda o: o.strip() == "refund",
    "return output === 'refund';": _broken,  # of one line, `return` stands before it
    "if (output === 'refund') {\n  return true;\n}\nreturn output.length > 9;": lambda o: (
        o == "refund" or _units(o) > 9
    ),
    "({pass: output.includes('a'), score: 0.5, reason: 'an a'})": lambda o: "a" in o,
    "({pass: output.includes('a'), score: 0, reason: 'an a'})": lambda o: "a" in o,
    "output.includes('a') ? {pass: true, score: 7, reason: ''} : 0": lambda o: "a" in o or 0,
    "Promise.resolve(output.includes('b'))": lambda o: "b" in o,
    "(async () => output.includes('b'))()": lambda o: "b" in o,
    "output.match(/(\\d)/)[1] === '7'": lambda o: re.findall("[0-9]", o)[0] == "7",
    "context.vars.city === 'Bonn' && output !== ''": bool,
    "'true'": _broken,
    "undefined": _broken,
    "nothing.at.all": _broken,
    "output.includes(": _broken,
}


def _lists(texts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return lists of *texts*, and texts that separate several by commas."""
    listed = st.lists(texts | _NUMBERS, min_size=1, max_size=3)
    quoted = st.lists(texts.map(lambda t: '"' + t.replace('"', '""') + '"'), min_size=1, max_size=3)
    return listed | texts | st.lists(texts, max_size=3).map(", ".join) | quoted.map(",".join)


def _values(kind: str) -> st.SearchStrategy[Any]:
    if kind in _LISTS:
        return _lists(_VALUES)
    if kind == "starts-with":
        return _VALUES
    return _VALUES | _NUMBERS


def _assertions() -> st.SearchStrategy[Any]:
    """Return assertions without their ``not-``."""
    texts = [
        st.fixed_dictionaries({"type": st.just(kind), "value": _values(kind)})
        for kind in (*_BASES, *_LISTS)
    ]
    equal = st.fixed_dictionaries(
        {"type": st.just("equals"), "value": st.dictionaries(st.sampled_from("ab"), _JSON) | _LIST}
    )
    schemas = st.sampled_from(SCHEMAS)
    whole = st.fixed_dictionaries(
        {"type": st.just("is-json")}, optional={"value": schemas | schemas.map(json.dumps)}
    )
    patterns = st.fixed_dictionaries(
        {"type": st.just("regex"), "value": st.sampled_from([*PATTERNS])}
    )
    code = st.fixed_dictionaries(
        {"type": st.just("javascript"), "value": st.sampled_from([*CODE])},
        optional={"threshold": st.sampled_from([0, 0.5, 1, 5])},
    )
    return st.one_of(*texts, equal, whole, patterns, code)


_LIST = st.lists(_JSON, max_size=2)
#: The types that have a form with ``not-`` in configurations that people have.
INVERTED = tuple(kind for kind in (*_BASES, *_LISTS, "regex", "is-json", "javascript"))


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """Draw an assertion and an output that often holds parts of its value."""
    assertion = draw(_assertions())
    if assertion["type"] in INVERTED and draw(st.booleans()):
        assertion = {**assertion, "type": f"not-{assertion['type']}"}
    value = assertion.get("value", "")
    said = [_shown(value), _shown(value).swapcase(), json.dumps(value, indent=1)]
    said += map(_shown, value if isinstance(value, list) else _shown(value).split(","))
    few, any_of = st.sampled_from(said), st.sampled_from([*said, *PIECES])
    texts = st.tuples(few | _PIECES, few, any_of).map("".join) | st.lists(any_of).map("".join)
    return Pair(assertion, draw(few | texts | _JSON.map(json.dumps)))


# What assertions mean ----------------------------------------------------------------------------


def means(pair: Pair) -> bool:
    """Return whether an output passes, by our own short reading of what promptfoo documents."""
    base, inverse = _base(pair), pair.kind.startswith("not-")
    value = pair.assertion.get("value")
    try:
        return _MEANINGS[base](pair, value) != inverse
    # A value or code that promptfoo cannot read passes nothing, also with `not-`.
    except Unreadable:
        return False


def is_refused(pair: Pair) -> bool:
    """Return True if promptfoo cannot read the assertion of *pair*."""
    try:
        _MEANINGS[_base(pair)](pair, pair.assertion.get("value"))
    except Unreadable:
        return True
    return False


class Unreadable(Exception):
    """An assertion that promptfoo refuses."""


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _contains(pair: Pair, value: Any) -> bool:
    kind = _base(pair)
    is_list = kind.endswith(("-any", "-all"))
    if value in ("", None):
        raise Unreadable
    texts = [*map(_shown, _listed(value) if is_list else [value])]
    output = pair.output
    if kind.startswith("i"):
        texts, output = [text.lower() for text in texts], output.lower()
    return (all if kind.endswith("-all") else any)(text in output for text in texts)


def _listed(value: Any) -> list[Any]:
    """Return the items of a list, or of a text with commas; quotes hold commas and quotes."""
    if isinstance(value, list):
        return value
    found, rest = list[str](), value
    while rest := re.sub(r"\A[\s\ufeff,]+", "", rest):
        if not rest.startswith('"'):
            field, _, rest = rest.partition(",")
            found.append(field.strip())
            continue
        quoted = re.match(r'"((?:\\["\\]|""|[^"])*+)"[\s\ufeff]*(?:,|\Z)', rest, re.DOTALL)
        if not quoted:
            raise Unreadable
        found.append(re.sub(r'\\(["\\])|"(")', r"\1\2", quoted[1]))
        rest = rest[quoted.end() :]
    return found


def _equals(pair: Pair, value: Any) -> bool:
    if not isinstance(value, dict | list):
        return _shown(value) == pair.output
    try:
        return _plain(_parsed(pair.output)) == _plain(value)
    except ValueError:
        return False


def _plain(value: Any) -> str:
    """Return *value* as text that is the same for equal JSON: 1 and 1.0, but not 1 and true."""
    return json.dumps(json.loads(json.dumps(value), parse_int=float), sort_keys=True)


def _is_json(pair: Pair, value: Any) -> bool:
    try:
        parsed = _parsed(pair.output)
    except ValueError:
        return False
    schema = json.loads(value) if isinstance(value, str) else value
    return schema is None or json_schema_validator(json.dumps(schema)).is_valid(parsed)


def _regex(pair: Pair, value: Any) -> bool:
    pattern = PATTERNS[value]
    if pattern is None:
        raise Unreadable
    return re.search(pattern, pair.output) is not None


def _starts_with(pair: Pair, value: Any) -> bool:
    if value == "":
        raise Unreadable
    return pair.output.startswith(value)


def _javascript(pair: Pair, value: Any) -> bool:
    try:
        found = CODE[value](pair.output)
    except (ValueError, IndexError) as error:
        raise Unreadable from error
    return found if isinstance(found, bool) else found >= pair.assertion.get("threshold", 1e-9)


_MEANINGS: Mapping[str, Callable[[Pair, Any], bool]] = {
    **dict.fromkeys((*_BASES[:2], *_LISTS), _contains),
    "equals": _equals,
    "is-json": _is_json,
    "regex": _regex,
    "starts-with": _starts_with,
    "javascript": _javascript,
}


# What we say -------------------------------------------------------------------------------------


class _Place:
    """A place without files and functions."""

    def read(self, written: str) -> str:
        raise ConfigurationError(written)

    def add_function(self, name: str, source: str) -> str:
        raise AssertionError(f"{name} would be a function of Python: {source}")


def carried(assertion: Mapping[str, Any]) -> Case | None:
    """Return a case that an import makes of *assertion*; None if a stub stands for it."""
    try:
        rules = carry_assertions([assertion], {"city": "Bonn"}, _Place())
    except AssertionError:
        return None
    if rules.dropped:
        return None
    keys = rules.keys()
    score = TypeAdapter(DeclaredScore).validate_python(keys.get("score", "exact"))
    formats = TypeAdapter(DeclaredFormat).validate_python(keys.get("format", []))
    return Case(
        id="a",
        location="c.jsonl:1",
        input="q",
        vars={"city": "Bonn"},
        expected=keys.get("expected"),
        score=score,
        format=formats,
    )


def passes(case: Case, output: str) -> bool:
    """Return whether *output* is right and in its format; a score that fails passes nothing."""
    reply = Reply(text=output)
    try:
        if FormatChecker(Path()).find_error(case, reply):
            return False
        return score_content(case, reply, Path()).value in (None, 1.0)
    except FtgateError:
        return False


#: What becomes a stub, and why.
STUBBED: Mapping[str, Callable[[Pair], bool]] = {
    "promptfoo refuses the value": is_refused,
    "no rule wants a reply that is no JSON": lambda pair: pair.kind == "not-is-json",
    "no rule wants other JSON, or none": lambda pair: (
        pair.kind == "not-equals" and isinstance(pair.assertion["value"], dict | list)
    ),
    "a reply without text is never right": lambda pair: (
        _base(pair) == "equals" and pair.assertion["value"] == ""
    ),
}


#: What cannot be equal, and why.
UNEQUAL: Mapping[str, Callable[[Pair], bool]] = {
    "a reply without text breaks every rule": lambda pair: not pair.output.strip(),
    "a body with `return` may stand on one line": lambda pair: str(
        pair.assertion.get("value")
    ).startswith("return "),
}


def _base(pair: Pair) -> str:
    return pair.kind.removeprefix("not-")


def differs(pair: Pair, said: bool) -> str:
    """Return "" if we say of *pair* what promptfoo says, else how we differ.

    Outer white space of a reply is dropped here, so that what is said of the rest counts
    too. What becomes a stub says nothing, and is one of `STUBBED`.
    """
    if any(matches(pair) for matches in UNEQUAL.values()):
        return ""
    case, rest = carried(pair.assertion), pair._replace(output=pair.output.strip())
    if case is None:
        is_named = any(matches(pair) for matches in STUBBED.values())
        return "" if is_named else f"{pair.assertion} is a stub"
    wanted = {said} if rest == pair else {said, means(rest)}
    ours = passes(case, pair.output)
    return "" if ours in wanted else f"{pair.assertion} on {pair.output!r}: {ours}, not {said}"


# What promptfoo says -----------------------------------------------------------------------------


def ask(folder: Path, asked: Sequence[Pair]) -> list[bool]:
    """Return what the promptfoo in *folder* says of each pair."""
    own = folder / "node_modules" / "node" / "bin" / "node"
    node = str(own) if own.exists() else which("node") or "node"
    lines = (json.dumps({**pair._asdict(), "vars": {"city": "Bonn"}}) for pair in asked)
    run = subprocess.run(
        [node, str(VECTORS / "promptfoo.mjs"), str(folder.resolve())],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    said = [line for line in run.stdout.splitlines() if line in ("true", "false")]
    assert len(said) == len(asked), run.stderr
    return [line == "true" for line in said]


def drawn(count: int, number: int) -> list[Pair]:
    """Return *count* pairs at most, the same for each *number*, and each once."""
    found: dict[str, Pair] = {}

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(pairs())
    def collect(pair: Pair) -> None:
        found[json.dumps(pair)] = pair

    collect()
    return [*found.values()]


def read_vectors() -> Iterable[tuple[Pair, bool]]:
    """Yield the pairs of the vectors, and what promptfoo says of each."""
    for assertion, output, said in json.loads((VECTORS / "promptfoo.json").read_text("utf-8"))[
        "pairs"
    ]:
        yield Pair(assertion, output), said


def main(folder: Path) -> None:
    """Write the vectors, by the promptfoo in *folder*."""
    package = folder / "node_modules" / "promptfoo" / "package.json"
    version = json.loads(package.read_text("utf-8"))["version"]
    asked = drawn(_KEPT, 47)
    rows = [[*pair, said] for pair, said in zip(asked, ask(folder, asked), strict=True)]
    lines = ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows)
    text = f'{{"promptfoo": "{version}", "pairs": [\n{lines}\n]}}\n'
    (VECTORS / "promptfoo.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
