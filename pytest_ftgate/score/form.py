"""Whether a reply has the form that a program could take: read strictly, named where broken."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import ScorerError
from pytest_ftgate.score.content import broke
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.reference import function
from pytest_ftgate.suite.rules import Rule

__all__ = ["Broken", "form", "validator"]


@dataclass(frozen=True, slots=True)
class Broken:
    """How a reply breaks its form.

    Attributes:
        kind: one of a few words, to be counted: ``truncated``, ``refusal``, ``empty``,
            ``wrong label``, ``invalid JSON``, ``schema``, ``pattern``, ``python``.
        detail: what exactly, for one reply.
    """

    kind: str
    detail: str = ""


def form(case: Case, reply: Reply, folder: Path) -> Broken | None:
    """Return how *reply* breaks the form that *case* wants, or None where it holds.

    The outer white space is no part of a reply; all else is read as a program would.

    Raises:
        ScorerError: a ``python`` format broke.
    """
    if not case.format:
        return None
    if reply.stop == "refusal":
        return Broken("refusal")
    text = reply.text.strip()
    for rule in case.format:
        broken = _check(rule, text, case, reply, folder)
        if broken:
            # The text looks broken because it was cut off; that is the thing to mend.
            return Broken("truncated", broken.detail) if reply.stop == "length" else broken
    return None


def _check(rule: Rule, text: str, case: Case, reply: Reply, folder: Path) -> Broken | None:
    if not text:
        return Broken("empty")
    match rule.kind:
        case "choice":
            return None if text in rule.value else Broken("wrong label")
        case "regex":
            held = re.search(rule.value, text) is not None
            return None if held else Broken("pattern", f"no match for {rule.value}")
        case "json_schema":
            return _json(rule.value, text)
        case _:
            return _by_function(str(rule.value), case, reply, folder)


def _json(schema: Any, text: str) -> Broken | None:
    checker = validator(json.dumps(schema))
    try:
        value = json.loads(text, parse_constant=_no_constant)
        first = next(checker.iter_errors(value), None)
    # Nested too deep, or escapes that make no text: JSON that a program cannot take.
    except (ValueError, RecursionError) as error:
        return Broken("invalid JSON", str(error))
    if first is None:
        return None
    place = "/".join(str(key) for key in first.instance_path)
    return Broken("schema", f"/{place}: {first.message}"[:200])


@lru_cache(maxsize=256)
def validator(schema: str) -> Any:
    """Return what checks a JSON Schema, given as JSON.

    Raises:
        ScorerError: it is no schema, or refers to one that would have to be fetched.
    """
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(json.loads(schema), retriever=_never_fetched)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise ScorerError(f"json_schema: not a schema: {str(error).splitlines()[0]}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _never_fetched(uri: str) -> Any:
    raise ValueError(f"{uri} lies outside the schema; nothing is fetched")


def _by_function(reference: str, case: Case, reply: Reply, folder: Path) -> Broken | None:
    checker: Callable[..., Any] = function(reference, folder)
    try:
        said = checker(case, reply)
    except BaseException as error:
        raise broke(reference, case, error) from error
    if isinstance(said, str):
        return Broken("python", said) if said else None
    return None if said else Broken("python", reference)
