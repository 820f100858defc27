"""The keys of a suite file, validated: what is wrong is said, and the rest is read on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from pytest_ftgate.errors import Fault
from pytest_ftgate.suite.declared import BRANCHES, DeclaredSuite
from pytest_ftgate.suite.faults import keys_of, sentence
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.yaml import Document, Where

__all__ = ["read_declared"]


def read_declared(source: Source, document: Document) -> DeclaredSuite | None:
    """Return the keys of *document* validated, or None where too little of it can be used.

    Each fault goes to *source*, and what it is about is left out.
    """
    value = document.value
    if not isinstance(value, dict):
        if value is not None:
            source.say(1, "a suite is a mapping of keys to values")
        return None
    # Cases in place are validated with those of case files, not here.
    shell = {**value, "cases": ""} if isinstance(value.get("cases"), list) else value
    if "reply" in shell:
        shell = {**shell, "reply": source.offers.named(shell["reply"])}
    while True:
        try:
            declared = DeclaredSuite.model_validate(shell)
        except ValidationError as error:
            lacking = False
            for where, one in _placed(document, error).items():
                missing = one["type"] == "missing"
                # A key that is there and counts as missing was wrong, said, and left out.
                if not (missing and where in document.lines):
                    source.faults.append(_fault(document, one))
                if missing and len(where) == 1:
                    lacking = True
                else:
                    shell = _without(shell, where[:-1] if missing else where)
            if lacking:
                return None
            continue
        return declared


def _placed(document: Document, error: ValidationError) -> dict[Where, dict[str, Any]]:
    """Return one error for each place of the file; a union of types brings one for each type."""
    placed: dict[Where, dict[str, Any]] = {}
    for one in error.errors():
        where: Where = tuple(part for part in one["loc"] if part not in BRANCHES)
        while where and where not in document.lines and one["type"] != "missing":
            where = where[:-1]
        placed[where] = {**one, "loc": where}
    return placed


def _fault(document: Document, error: dict[str, Any]) -> Fault:
    where: Where = tuple(error["loc"])
    known = keys_of(_model_at(DeclaredSuite, where[:-1]))
    text = sentence(error, known, document.written.get(where))
    return document.fault(where, _within(where) + text)


def _without(value: Any, where: Where) -> Any:
    """Return *value* less what stands at *where*, so that the rest can be validated."""
    if not where:
        return {}
    key, *deeper = where
    if isinstance(value, dict) and key in value:
        kept = {k: v for k, v in value.items() if k != key}
        return {**kept, key: _without(value[key], tuple(deeper))} if deeper else kept
    return type(value)() if isinstance(value, dict | list) else None


def _within(where: Where) -> str:
    match where:
        case ("variants", name, _, *_):
            return f'variant "{name}": '
    return ""


def _model_at(model: type[BaseModel], where: Iterable[str | int]) -> type[BaseModel]:
    """Return the declared class that holds the keys at *where*."""
    for key in where:
        inner = _inner_model(model, str(key))
        model = inner or model
    return model


def _inner_model(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    field = model.model_fields.get(key)
    for kind in _types_in(field.annotation) if field else ():
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _types_in(annotation: Any) -> Iterable[Any]:
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _types_in(inner)
