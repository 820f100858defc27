"""Whether a reply has the form that a program could take: read strictly, named where broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.score.content import broke
from pytest_ftgate.score.markup import by_code, by_csv, by_markdown, by_xml
from pytest_ftgate.score.reader import Broken, Reader
from pytest_ftgate.score.structured import by_model, by_schema, invalid
from pytest_ftgate.score.wording import (
    by_absence,
    by_label,
    by_language,
    by_length,
    by_lines,
    by_pattern,
    by_presence,
    loops,
    refuses,
)
from pytest_ftgate.suite.json_schema import validator
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.reference import function
from pytest_ftgate.suite.rules import Rule

__all__ = ["Forms"]

_READERS: Mapping[str, Callable[[Any, Path], Reader]] = {
    "choice": by_label,
    "json_schema": by_schema,
    "pydantic": by_model,
    "regex": by_pattern,
    "lines": by_lines,
    "xml": by_xml,
    "csv": by_csv,
    "markdown": by_markdown,
    "code": by_code,
    "length": by_length,
    "language": by_language,
    "contains": by_presence,
    "avoids": by_absence,
}
_Check = Callable[[Case, Reply, str], Broken | None]


class Forms:
    """Holds replies to the forms of their cases; what a rule needs is made once.

    Args:
        folder: where functions and models of the suite are looked for first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # By identity, since thousands of cases share a rule; the rule is kept so that it stays.
        self._checks: dict[tuple[int, Path], tuple[Rule, _Check]] = {}

    def ready(self, rules: Iterable[Rule]) -> None:
        """Make sure that *rules* can be used, before anything is asked.

        Raises:
            ScorerError: a JSON Schema is none.
            Unavailable: a function or a model cannot be imported.
        """
        for rule in rules:
            self._check(rule, self._folder)

    def broken(self, case: Case, reply: Reply) -> Broken | None:
        """Return how *reply* breaks the form that *case* wants, or None where it holds.

        The outer white space is no part of a reply; all else is read as a program would.

        Raises:
            ScorerError: a ``python`` format broke, or a pattern does not come to an end.
        """
        if not case.format:
            return None
        if reply.stop == "refusal":
            return Broken("refusal", rules=tuple(rule.kind for rule in case.format))
        text = reply.text.strip()
        found = [
            (rule.kind, broken)
            for rule in case.format
            if (broken := self._check(rule, case.folder or self._folder)(case, reply, text))
        ]
        return _told(found, text, reply) if found else None

    def _check(self, rule: Rule, folder: Path) -> _Check:
        known = self._checks.get((id(rule), folder))
        if known is None:
            known = self._checks[id(rule), folder] = (rule, _made(rule, folder))
        return known[1]


def _made(rule: Rule, folder: Path) -> _Check:
    if rule.kind in ("python", "offered"):
        reference = str(rule.value)
        checker = rule.function or function(reference, folder)
        kind = "python" if rule.function is None else reference
        return _by_function(reference, checker, kind)
    if rule.kind == "tool_call":
        return _by_call(rule.value)
    read = _READERS[rule.kind](rule.value, folder).read
    return lambda _case, _reply, text: read(text) if text else Broken("empty")


def _told(found: list[tuple[str, Broken]], text: str, reply: Reply) -> Broken:
    """Return the one fault that is told: the first rule's, unless the reply as a whole is amiss."""
    first = found[0][1]
    meant = all(broken.meant for _, broken in found)
    kind = first.kind if meant else _amiss(text, reply) or first.kind
    return replace(first, kind=kind, rules=tuple(kind for kind, _ in found), meant=meant)


def _amiss(text: str, reply: Reply) -> str:
    # A loop is cut off too, but a higher limit would only make it longer.
    if loops(text):
        return "repetition loop"
    # The text looks broken because it was cut off; that is the thing to mend.
    if reply.stop == "length":
        return "truncated"
    return "refusal" if refuses(text) else ""


def _by_function(reference: str, checker: Callable[..., Any], kind: str) -> _Check:
    def check(case: Case, reply: Reply, text: str) -> Broken | None:
        if not text:
            return Broken("empty")
        try:
            said = checker(case, reply)
        except BaseException as error:
            raise broke(reference, case, error) from error
        if isinstance(said, str):
            return Broken(kind, said) if said else None
        return None if said else Broken(kind, reference)

    return check


def _by_call(value: Mapping[str, Any]) -> _Check:
    name = value["name"]
    checker = validator(json.dumps(value.get("schema", {})))

    def check(case: Case, reply: Reply, text: str) -> Broken | None:
        del case, text  # A reply may be all call and no text.
        uses = [use for use in reply.tool_calls if use.name == name]
        if not uses:
            others = ", ".join(dict.fromkeys(use.name for use in reply.tool_calls))
            return Broken(
                "tool_call", f"{name} was not called{f', but {others}' if others else ''}"
            )
        faults = [_arguments(checker, use.arguments) for use in uses]
        return None if None in faults else faults[0]

    return check


def _arguments(checker: Any, arguments: Any) -> Broken | None:
    try:
        return invalid(checker, arguments, "tool_call")
    except ValueError as error:
        return Broken("invalid syntax", str(error))
