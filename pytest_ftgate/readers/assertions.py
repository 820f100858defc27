"""Assertions of promptfoo, as the score and the formats of a case."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import yaml

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.assertion_kinds import MAKERS, document_of, listed_texts
from pytest_ftgate.readers.checks import ReplyCheck, json_form, merged
from pytest_ftgate.readers.imported_files import filled
from pytest_ftgate.readers.imported_suite import AGREES, PATH
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
        judged_weight: how much they count together in a mean.
        limits: of latency in milliseconds, and of cost in USD, by the assertion's type.
        notes: a sentence for each thing that is different here.
        counts: how many assertions are ``carried``, how many are ``stubs``.
        dropped: what each assertion is that is not carried over.
    """

    threshold: float | None = None
    checks: list[ReplyCheck] = field(default_factory=list)
    rubrics: list[str] = field(default_factory=list)
    judged_weight: float = 0
    limits: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    dropped: list[str] = field(default_factory=list)

    def keys(self) -> dict[str, Any]:
        """Return the keys ``expected``, ``score`` and ``format`` of a case.

        A case whose score names no judge is scored without one, and unscored without a check.
        """
        if self.threshold is not None:
            return self._counted_keys()
        rules = _distinct(check.rule for check in self.checks if check.is_form)
        # A schema says that the reply is JSON.
        has_schema = any(rule.get("json_schema") for rule in rules)
        formats = [dict(one) for one in rules if not has_schema or one != json_form().rule]
        keys = self._score_keys(merged(one for one in self.checks if not one.is_form))
        return keys | ({"format": formats} if formats else {})

    def _counted_keys(self) -> dict[str, Any]:
        judges = [_weighted("judge", self.judged_weight)] * bool(self.rubrics)
        # Of what counts, an assertion that is written twice counts twice.
        rules = [*judges, *map(_part, self.checks)]
        return {"score": {"all": {"rules": rules, "min": self.threshold}}} if self.checks else {}

    def _score_keys(self, checks: list[ReplyCheck]) -> dict[str, Any]:
        if not checks:
            return {}
        if len(checks) == 1 and checks[0].score and not self.rubrics:
            return {"expected": checks[0].expected, "score": checks[0].score}
        judges, (read, expected) = ["judge"] * bool(self.rubrics), _read_checks(checks)
        rules = [*judges, *_distinct(_part(check, read) for check in checks)]
        return ({"expected": expected} if read else {}) | {"score": {"all": rules}}

    def limit(self, kind: str, limit: float) -> None:
        """Keep the smallest limit of *kind*."""
        self.limits[kind] = min(limit, self.limits.get(kind, limit))

    def take(self, inner: CarriedRules) -> None:
        """Add all of *inner* but its checks."""
        self.rubrics += inner.rubrics
        self.notes += inner.notes
        self.counts += inner.counts
        self.dropped += inner.dropped
        for kind, limit in inner.limits.items():
            self.limit(kind, limit)


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


def _part(check: ReplyCheck, read: Iterable[ReplyCheck] = ()) -> Any:
    return _weighted(check.score if check in read else dict(check.rule), check.weight)


def _weighted(part: Any, weight: float) -> Any:
    if weight == 1:
        return part
    return {**({part: {}} if isinstance(part, str) else part), "weight": weight}


def _distinct(rules: Iterable[Any]) -> list[Any]:
    return list({repr(rule): rule for rule in rules}.values())


def carry_assertions(
    assertions: Iterable[Any],
    variables: Mapping[str, Any],
    place: Place,
    *,
    threshold: Any = None,
    transform: Any = None,
) -> CarriedRules:
    """Return what *assertions* become.

    *threshold* is the share of them that must hold, as it is written; *transform* changes the reply
    before it is read.
    """
    rules = CarriedRules()
    if threshold not in (None, "", 0):
        if _is_number(threshold) and 0 < threshold <= 1:
            rules.threshold = float(threshold)
        else:
            why = "is no number from 0 to 1: all assertions must hold"
            rules.notes.append(f"threshold: {threshold!r} {why}")
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
            kind = str(assertion.get("type") or "")
            try:
                self.carry_one(assertion, kind)
            except ConfigurationError as error:
                rules.notes.append(f"assertion {kind}: {error}")
                self.stub(assertion, kind, [])

    def weight(self, assertion: Mapping[str, Any]) -> float:
        """Return how much *assertion* counts in a mean."""
        written = assertion.get("weight")
        if written is None or (_is_number(written) and written > 0):
            return float(1 if written is None else written)
        self.rules.notes.append(f"weight: {written!r} is no number from 0 on: it counts as 1")
        return 1.0

    def carry_set(self, assertion: Mapping[str, Any]) -> None:
        inner, threshold = assertion.get("assert") or (), assertion.get("threshold") or None
        is_counted = self.rules.threshold is not None
        if threshold is None and not is_counted:
            for one in inner:
                self.carry(one)
            return
        # Of a set within what counts, its mean counts, whatever its own threshold.
        share = self.rules.threshold if is_counted else threshold
        joined = carry_assertions(
            inner, self.variables, self.place, threshold=share, transform=self.transform
        )
        self.rules.take(joined)
        parts = {"rules": [*map(_part, joined.checks)], "min": joined.threshold or 1}
        if is_counted:
            total = sum(check.weight for check in joined.checks) + joined.judged_weight
            scale = self.weight(assertion) / (total or 1)
            self.rules.judged_weight += joined.judged_weight * scale
            self.rules.checks += (one._replace(weight=one.weight * scale) for one in joined.checks)
        elif joined.checks:
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
        weight = self.weight(assertion)
        # Of what counts, an assertion counts once, however many checks it makes.
        made = _as_one(made) if rules.threshold is not None else made
        rules.checks += (check._replace(weight=weight) for check in made)
        rules.judged_weight += 0 if made else weight
        rules.counts["carried"] += 1

    def carry_limit(self, assertion: Mapping[str, Any], kind: str) -> None:
        threshold = assertion.get("threshold")
        if isinstance(threshold, int | float) and threshold > 0:
            self.rules.limit(kind, float(threshold))
        self.rules.counts["limits"] += 1

    def value(self, written: Any, kind: str) -> Any:
        """Return the value of an assertion, with the text of a file and the variables in it."""
        if isinstance(written, list):
            return [self.value(one, "") for one in written]
        if isinstance(written, str) and written.startswith(_FILE) and not _script(written):
            text = self.place.read(written)
            return document_of(text) if kind.endswith("json") else filled(text, self.variables)
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
        maker = None if transforms else MAKERS.get(kind)
        made = maker(value) if maker else None
        if made is None:
            value = listed_texts(value) if base.endswith(("-any", "-all")) else value
            return self.transformed(text_code(kind, value), transforms)
        if base == "contains-json":
            return [self.function("has_json", made.rule["contains_json"])]
        return [made]

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
        if self.rules.threshold is not None:
            self.rules.notes.append("threshold: what python returns counts as right or wrong")
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
        message = f"fill me in: this stands for the assertion {kind} of promptfoo"
        source = (
            "def NAME(case, reply):\n"
            '    """Return True if the reply passes, else a text that says why not."""\n'
            f"{comment}"
            f"    raise NotImplementedError({message!r})\n"
        )
        check = self.function(re.sub(r"\W+", "_", kind), source)
        self.rules.checks.append(check._replace(weight=self.weight(assertion)))
        self.rules.counts["stubs"] += 1
        self.rules.notes.append(f"assertion {kind} is a function to fill in")


def _as_one(checks: list[ReplyCheck]) -> list[ReplyCheck]:
    """Return *checks* as one that holds if all of them do."""
    if not checks[1:]:
        return checks
    others = [check for check in checks if check.rule != json_form().rule]
    # A schema says that the reply is JSON.
    kept = others if any("json_schema" in check.rule for check in others) else checks
    return [ReplyCheck({"all": [dict(check.rule) for check in kept]})] if kept[1:] else kept


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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


def _strings(value: Any) -> Iterator[str]:
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(inner, str):
        yield inner
    elif inner is not None and not isinstance(inner, bool | int | float):
        for item in inner:
            yield from _strings(item)


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
    is_known = kind in MAKERS or known in (*_JUDGED, *_AGREED, "javascript", "python", "similar")
    if not colon and kind not in ("is-json", "not-empty", "contains-json", "is-sql"):
        return {"type": "equals", "value": text}
    if not is_known and not re.fullmatch(r"[a-z][a-z-]+", kind):
        return {"type": "equals", "value": text}
    found: dict[str, Any] = {"type": kind, "value": value.strip() or None}
    if threshold:
        found["threshold"] = float(threshold.rstrip(")"))
    return found
