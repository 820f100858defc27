"""Assertions of promptfoo, as the score and the formats of a case."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Protocol

import yaml

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.answer_rows import text_of
from pytest_ftgate.readers.checks import (
    ReplyCheck,
    avoided,
    contained,
    equal,
    escaped,
    json_form,
    matching,
    merged,
    sized,
)
from pytest_ftgate.readers.imported_suite import AGREES, PATH, filled, parse_document
from pytest_ftgate.readers.javascript import (
    code_after,
    is_whole_function,
    readable_checks,
    text_code,
)

_FILE = "file://"
_SCRIPTS = (".js", ".cjs", ".mjs", ".ts", ".cts", ".mts")
#: Assertions that compare outputs, and attacks: no test of one reply.
_OTHER = re.compile(r"select-|max-score|promptfoo:redteam:|pi$")
_JUDGED = ("llm-rubric", "g-eval", "model-graded-closedqa")
_AGREED = ("factuality", "model-graded-factuality")


class Place(Protocol):
    """Where a configuration lies, and what is written for it."""

    def read(self, written: str) -> str:
        """Return the text of a file.

        Raises:
            ConfigurationError: it cannot be read.
        """

    def add_function(self, name: str, source: str) -> str:
        """Return the reference of a function that is written as *source*, with ``NAME`` in it."""


@dataclass(slots=True)
class CarriedRules:
    """What the assertions of one test become.

    Attributes:
        threshold: the share of the checks that must hold, by their weights; None for all.
        rubrics: what a judge grades by.
        limits: of latency in milliseconds, and of cost in USD, by the assertion's type.
        notes: a sentence for each thing that is different here.
        counts: how many assertions are ``carried``, how many are ``stubs``.
        dropped: what each assertion is that is not carried over.
    """

    threshold: float | None = None
    checks: list[ReplyCheck] = field(default_factory=list)
    rubrics: list[str] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    dropped: list[str] = field(default_factory=list)

    def keys(self) -> dict[str, Any]:
        """Return the keys ``expected``, ``score`` and ``format`` of a case.

        A case whose score names no judge is scored without one, and unscored without a check.
        """
        if self.threshold == 0:
            return {}
        counted = self.threshold is not None
        forms = [] if counted else [check for check in self.checks if check.is_form]
        content = [check for check in self.checks if counted or not check.is_form]
        content = content if counted else merged(content)
        keys = self._score_keys(content)
        rules = _distinct(check.rule for check in forms)
        # A schema says that the reply is JSON.
        has_schema = any(rule.get("json_schema") for rule in rules)
        formats = [dict(one) for one in rules if not has_schema or one != json_form().rule]
        return keys | ({"format": formats} if formats else {})

    def _score_keys(self, checks: list[ReplyCheck]) -> dict[str, Any]:
        judges = ["judge"] * bool(self.rubrics)
        if len(checks) == 1 and checks[0].score and not judges and self.threshold is None:
            return {"expected": checks[0].expected, "score": checks[0].score}
        if not checks:
            return {}
        read, expected = _read_checks(checks)
        rules = [*judges, *_distinct(_part(check, read) for check in checks)]
        joined = {"rules": rules, "min": self.threshold} if self.threshold else rules
        return ({"expected": expected} if read else {}) | {"score": {"all": joined}}


def _read_checks(checks: list[ReplyCheck]) -> tuple[list[ReplyCheck], Any]:
    """Return the checks that are made by a score that reads the answer, and that answer."""
    fields = [check for check in checks if check.score == "fields"]
    expected: dict[str, Any] = {}
    if fields and all(_merge(expected, check.expected) for check in fields):
        return fields, expected
    exact = next((check for check in checks if check.score == "exact"), None)
    return ([exact], exact.expected) if exact else ([], None)


def _merge(into: dict[str, Any], fields: Mapping[str, Any]) -> bool:
    """Add *fields* to *into*; return False if they contradict it."""
    for key, value in fields.items():
        known = into.setdefault(key, {} if isinstance(value, Mapping) else value)
        if isinstance(value, Mapping) and isinstance(known, dict):
            if not _merge(known, value):
                return False
        elif known != value:
            return False
    return True


def _part(check: ReplyCheck, read: list[ReplyCheck]) -> Any:
    part = check.score if check in read else dict(check.rule)
    if check.weight == 1:
        return part
    return {**({part: {}} if isinstance(part, str) else part), "weight": check.weight}


def _distinct(rules: Iterable[Any]) -> list[Any]:
    return list({repr(rule): rule for rule in rules}.values())


def carry_assertions(
    assertions: Iterable[Any],
    variables: Mapping[str, Any],
    place: Place,
    *,
    threshold: float | None = None,
    transform: Any = None,
) -> CarriedRules:
    """Return what *assertions* become.

    *threshold* is the share of them that must hold, None for all; *transform* changes the reply
    before it is read.
    """
    rules = CarriedRules(threshold)
    carrier = _Carrier(rules, variables, place, transform)
    for assertion in assertions:
        carrier.carry(assertion)
    return rules


@dataclass(slots=True)
class _Carrier:
    """Carries the assertions of one test over into *rules*."""

    rules: CarriedRules
    variables: Mapping[str, Any]
    place: Place
    transform: Any

    def carry(self, assertion: Any) -> None:
        rules = self.rules
        if not isinstance(assertion, Mapping):
            rules.dropped.append(f'"{assertion}", which is no mapping')
        elif assertion.get("weight") == 0:
            rules.notes.append("weight: 0 of an assertion: promptfoo does not count it either")
        elif assertion.get("type") == "assert-set":
            self.carry_set(assertion)
        else:
            self.carry_one(assertion, str(assertion.get("type") or ""))

    def carry_set(self, assertion: Mapping[str, Any]) -> None:
        inner = assertion.get("assert") or ()
        threshold = assertion.get("threshold")
        if threshold is None:
            for one in inner:
                self.carry(one)
            return
        joined = carry_assertions(
            inner, self.variables, self.place, threshold=threshold, transform=self.transform
        )
        score = joined.keys().get("score")
        self.rules.rubrics += joined.rubrics
        self.rules.notes += joined.notes
        self.rules.counts += joined.counts
        self.rules.dropped += joined.dropped
        if score:
            parts = {"rules": [*map(_inlined, joined.checks)], "min": threshold}
            self.rules.checks.append(ReplyCheck({"all": parts}))

    def carry_one(self, assertion: Mapping[str, Any], kind: str) -> None:
        rules, written = self.rules, assertion.get("value")
        if not kind or _OTHER.match(kind):
            rules.dropped.append(f"assertion {kind or 'without a type'}")
            return
        if kind in ("latency", "cost"):
            self.carry_limit(assertion, kind)
            return
        value = self.value(written, kind)
        transforms = [*filter(None, (self.transform, assertion.get("transform")))]
        if kind == "is-json" and transforms == ["JSON.parse(output)"]:
            transforms = []
        if kind in _JUDGED or kind in _AGREED:
            made = self.judged(value, assertion, kind, transforms)
        else:
            made = self.checks(kind, value, assertion, transforms)
        if made is None:
            self.stub(assertion, kind, transforms)
            return
        weight = float(assertion.get("weight") or 1)
        rules.checks += (check._replace(weight=weight) for check in made)
        rules.counts["carried"] += 1

    def carry_limit(self, assertion: Mapping[str, Any], kind: str) -> None:
        threshold = assertion.get("threshold")
        if isinstance(threshold, int | float) and threshold > 0:
            self.rules.limits[kind] = float(threshold)
        self.rules.counts["limits"] += 1

    def value(self, written: Any, kind: str) -> Any:
        """Return the value of an assertion, with the text of a file and the variables in it."""
        if isinstance(written, list):
            return [self.value(one, "") for one in written]
        if isinstance(written, str) and written.startswith(_FILE) and not _script(written):
            text = self.place.read(written)
            return _document(text) if kind.endswith("json") else filled(text, self.variables)
        return filled(written, self.variables)

    def judged(
        self, value: Any, assertion: Mapping[str, Any], kind: str, transforms: list[Any]
    ) -> list[ReplyCheck] | None:
        rubric = "\n".join(_strings(value))
        if not rubric or _script(value):
            return None
        if kind in _AGREED:
            rubric = AGREES.replace("{{ expected }}", rubric)
        if transforms:
            self.rules.notes.append("transform: a judge reads the whole reply")
        if assertion.get("threshold") is not None:
            self.rules.notes.append(f"threshold of {kind}: the judge says good or bad")
        self.rules.rubrics.append(rubric)
        return []

    def checks(
        self, kind: str, value: Any, assertion: Mapping[str, Any], transforms: list[Any]
    ) -> list[ReplyCheck] | None:
        """Return the checks of an assertion, or None if it takes a stub."""
        base = kind.removeprefix("not-")
        if base in ("javascript", "python"):
            make = self.javascript if base == "javascript" else self.python
            return make(value, assertion, transforms, inverse=base != kind)
        if _script(value):
            return None
        maker = None if transforms else _MAKERS.get(kind)
        made = maker(value) if maker else None
        if made is None:
            value = _texts(value) if base.endswith(("-any", "-all")) else value
            return self.transformed(text_code(kind, value), transforms)
        if base == "contains-json":
            return [self.function("has_json", made[0].rule["contains_json"])]
        return made

    def transformed(self, code: str | None, transforms: list[Any]) -> list[ReplyCheck] | None:
        if code is None or not all(_is_code(one) for one in transforms):
            return None
        for transform in reversed(transforms):
            code = code_after(transform, code)
        return [_node({"code": code})]

    def javascript(
        self, value: Any, assertion: Mapping[str, Any], transforms: list[Any], *, inverse: bool
    ) -> list[ReplyCheck] | None:
        keys = {k: assertion[k] for k in ("threshold", "config") if assertion.get(k) is not None}
        keys |= {"inverse": True} if inverse else {}
        reference = _script(value)
        if reference:
            file, name = reference
            if file.endswith("ts"):
                self.rules.notes.append(f"{file} needs Node.js 22.18 or later")
            named = {"file": PATH.format(file), **({"function": name} if name else {})}
            return None if transforms else [_node({**named, **keys})]
        if not isinstance(value, str) or not value.strip():
            return None
        if transforms:
            return None if keys else self.transformed(value, transforms)
        value = self.returning(value.strip())
        readable = None if keys else readable_checks(value, self.variables)
        return readable or [_node({"code": value, **keys})]

    def returning(self, code: str) -> str:
        """Return JavaScript that says what it means where promptfoo runs it without a result."""
        is_function = is_whole_function(code)
        if is_function or ("\n" in code and not re.search(r"\breturn\b", code)):
            what = "a function that is not called" if is_function else "lines without return"
            self.rules.notes.append(
                f"javascript of {what}: promptfoo fails it, here its value counts"
            )
        return f"({code.rstrip(';')})(output, context)" if is_function else code

    def python(
        self, value: Any, assertion: Mapping[str, Any], transforms: list[Any], *, inverse: bool
    ) -> list[ReplyCheck] | None:
        if transforms or not isinstance(value, str) or not value.strip():
            return None
        settings = {"threshold": assertion.get("threshold"), "inverse": inverse or None}
        settings["config"] = assertion.get("config")
        given = ", ".join(f"{k}={v!r}" for k, v in settings.items() if v is not None)
        head = f"@promptfoo({given})\ndef NAME(output, context):\n"
        match = re.fullmatch(rf"(?:{_FILE})?(.+\.py)(?::(\w+))?", value.strip())
        if match:
            call = f'load("{PATH.format(match[1])}").{match[2] or "get_assert"}(output, context)'
            return [self.function(match[2] or "get_assert", f"{head}    return {call}\n")]
        body = value.strip("\n").rstrip()
        body = textwrap.dedent(body) if "\n" in body else f"return {body.strip()}"
        source = head + textwrap.indent(body, "    ") + "\n"
        return [self.function("check", source)] if _is_python(source) else None

    def function(self, name: str, source: str) -> ReplyCheck:
        return ReplyCheck({"python": self.place.add_function(name, source)})

    def stub(self, assertion: Mapping[str, Any], kind: str, transforms: list[Any]) -> None:
        """Write a function that stands for *assertion* until it is filled in."""
        kept = {k: v for k, v in assertion.items() if k not in ("weight", "metric")}
        kept |= {"transform": transforms[0]} if transforms else {}
        shown = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=90)
        comment = textwrap.indent(shown, "    # ", lambda _: True)
        source = (
            "def NAME(case, reply):\n"
            '    """Return True if the reply passes, else a text that says why not."""\n'
            f"{comment}"
            f"    raise NotImplementedError({_stub_message(kind)!r})\n"
        )
        self.rules.checks.append(self.function(re.sub(r"\W+", "_", kind), source))
        self.rules.counts["stubs"] += 1
        self.rules.notes.append(f"assertion {kind} is a function to fill in")


def _stub_message(kind: str) -> str:
    return f"fill me in: this stands for the assertion {kind} of promptfoo"


def _inlined(check: ReplyCheck) -> Any:
    return _part(check, [])


def _node(keys: Mapping[str, Any]) -> ReplyCheck:
    # promptfoo fails a test whose code throws.
    return ReplyCheck({"javascript": {**keys, "throws": "wrong"}})


def _script(value: Any) -> tuple[str, str] | None:
    """Return the file and the function that *value* names, or None if it is no script."""
    if not isinstance(value, str) or "\n" in value:
        return None
    match = re.fullmatch(rf"({_FILE})?(.+?\.(?:[cm]?[jt]s|py|rb))(?::(\w+))?", value.strip())
    if not match or not (match[1] or re.fullmatch(r"[\w./-]+", match[2])):
        return None
    return match[2], match[3] or ""


def _is_code(transform: Any) -> bool:
    return isinstance(transform, str) and not transform.startswith(_FILE)


def _is_python(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _document(text: str) -> Any:
    try:
        return parse_document(text, "", core=True)
    except ConfigurationError:
        return text


def _strings(value: Any) -> Iterator[str]:
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(inner, str):
        yield inner
    elif inner is not None and not isinstance(inner, bool | int | float):
        for item in inner:
            yield from _strings(item)


# One maker for each kind: it returns the checks, or None if the value is none that it can keep.

_Maker = Callable[[Any], list[ReplyCheck] | None]


#: A field of a text that lists values: in quotes, or up to the next comma.
_FIELD = re.compile(r'[\s,]*(?:"((?:[^"\\]|""|\\.)*)"\s*(?=,|$)|([^",\s][^,]*))', re.DOTALL)


def _texts(value: Any) -> list[str] | None:
    """Return the texts of a list, or of one text that separates them by commas; None for others."""
    if isinstance(value, list):
        return [text_of(one) or "" for one in value]
    if not isinstance(value, str) or not value:
        return None
    texts, end = list[str](), 0
    while value[end:].strip(", \t\r\n"):
        match = _FIELD.match(value, end)
        if not match:
            return None
        quoted, plain = match.groups()
        texts.append(
            plain.strip() if quoted is None else re.sub(r'"(")|\\(["\\])', r"\1\2", quoted)
        )
        end = match.end()
    return texts


def _contains(*, case: bool, every: bool | None, inverse: bool = False) -> _Maker:
    """Return the maker of ``contains`` of one text (*every* is None), of all or of any."""

    def make(value: Any) -> list[ReplyCheck] | None:
        texts = [text_of(value) or ""] if every is None else _texts(value)
        if isinstance(value, bool | Mapping) or not texts or not all(texts):
            # Of a list with an empty text JavaScript knows the answer.
            return None
        if inverse:
            return [avoided(texts, case=case)]
        return [contained(texts, case=case, every=bool(every))]

    return make


def _equals(value: Any) -> list[ReplyCheck] | None:
    if isinstance(value, Mapping | list):
        return [ReplyCheck({"json_schema": {"const": value}})]
    text = _shown(value)
    return [equal(text)] if text.strip() else None


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else text_of(value) or ""


def _pattern(*, inverse: bool) -> _Maker:
    def make(value: Any) -> list[ReplyCheck] | None:
        found = matching(value, inverse=inverse) if isinstance(value, str) and value else None
        return [found] if found else None

    return make


def _edge(form: str) -> _Maker:
    def make(value: Any) -> list[ReplyCheck] | None:
        found = matching(form.format(escaped(value))) if isinstance(value, str) and value else None
        return [found] if found else None

    return make


def _not_equal(value: Any) -> list[ReplyCheck] | None:
    if isinstance(value, Mapping | list) or not _shown(value).strip():
        return None
    return [equal(_shown(value), inverse=True)]


def _schema(value: Any) -> Any:
    """Return the schema of an assertion: {} for none, None for what is none."""
    schema = _document(value) if isinstance(value, str) else value
    if schema in (None, "", True, False):
        return {}
    if not isinstance(schema, Mapping):
        return None
    # promptfoo reads drafts up to 7, whose lists of items are tuples.
    old = "$schema" not in schema and re.search(r"'(?:items': \[|dependencies')", repr(schema))
    return {**({"$schema": "http://json-schema.org/draft-07/schema#"} if old else {}), **schema}


def _is_json(value: Any) -> list[ReplyCheck] | None:
    schema = _schema(value)
    return None if schema is None else [json_form(schema)]


def _contains_json(value: Any) -> list[ReplyCheck] | None:
    schema = _schema(value)
    if schema is None:
        return None
    call = f"contains_json(reply.text, {schema!r})"
    return [ReplyCheck({"contains_json": f"def NAME(case, reply):\n    return {call}\n"})]


def _words(value: Any) -> list[ReplyCheck] | None:
    bounds = value if isinstance(value, Mapping) else {"min": value, "max": value}
    limits = {k: int(bounds[k]) for k in ("min", "max") if str(bounds.get(k, "")).isdecimal()}
    return [sized("words", limits.get("min"), limits.get("max"))] if any(limits.values()) else None


def _is_sql(value: Any) -> list[ReplyCheck] | None:
    if value or not find_spec("sqlglot"):
        return None
    return [ReplyCheck({"code": "sql"}, is_form=True)]


_MAKERS: Mapping[str, _Maker] = {
    "equals": _equals,
    "not-equals": _not_equal,
    "contains": _contains(case=True, every=None),
    "icontains": _contains(case=False, every=None),
    "contains-all": _contains(case=True, every=True),
    "icontains-all": _contains(case=False, every=True),
    "contains-any": _contains(case=True, every=False),
    "icontains-any": _contains(case=False, every=False),
    "not-contains": _contains(case=True, every=None, inverse=True),
    "not-icontains": _contains(case=False, every=None, inverse=True),
    "not-contains-any": _contains(case=True, every=False, inverse=True),
    "not-icontains-any": _contains(case=False, every=False, inverse=True),
    "regex": _pattern(inverse=False),
    "not-regex": _pattern(inverse=True),
    "starts-with": _edge("^{}"),
    "not-starts-with": _edge("^(?!{})"),
    "ends-with": _edge("{}$"),
    "is-json": _is_json,
    "contains-json": _contains_json,
    "is-sql": _is_sql,
    "word-count": _words,
    "not-empty": lambda _: [sized("characters", 1, None)],
}


def assertion_of_cell(text: str) -> dict[str, Any]:
    """Return the assertion that a cell of the column ``__expected`` declares."""
    name, colon, value = text.partition(":")
    kind, _, threshold = name.strip().partition("(")
    kind = {"grade": "llm-rubric", "fn": "javascript", "eval": "javascript"}.get(kind, kind)
    if text.startswith(_FILE):
        file = _script(text)
        is_python = file and file[0].endswith(".py")
        return {
            "type": "python" if is_python else "javascript" if file else "equals",
            "value": text,
        }
    known = kind.removeprefix("not-")
    is_known = kind in _MAKERS or known in (*_JUDGED, *_AGREED, "javascript", "python", "similar")
    if not colon and kind not in ("is-json", "not-empty", "contains-json", "is-sql"):
        return {"type": "equals", "value": text}
    if not is_known and not re.fullmatch(r"[a-z][a-z-]+", kind):
        return {"type": "equals", "value": text}
    found: dict[str, Any] = {"type": kind, "value": value.strip() or None}
    if threshold:
        found["threshold"] = float(threshold.rstrip(")"))
    return found
