"""The addresses at which the reference explains the keys of a suite file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from pytest_ftgate.errors import Diagnostic
from pytest_ftgate.readers.source import declared_keys
from pytest_ftgate.readers.yaml import Document, KeyPath
from pytest_ftgate.settings import docs_page
from pytest_ftgate.suite.declaration import DeclaredSuite
from pytest_ftgate.suite.formats import FORMAT_KINDS
from pytest_ftgate.suite.scorers import SCORE_KINDS

PAGE = "reference/suite-keys"
#: The kinds of rules by the keys that take them.
_RULES = {"format": FORMAT_KINDS, "score": SCORE_KINDS}
#: The key that a message begins with, behind the name of a variant.
_SUBJECT = re.compile(r'(?:variant "[^"]*": )?"?(\w[\w-]*)')


def model_at(key_path: Iterable[str | int]) -> type[BaseModel]:
    """Return the declared class that holds the keys at *key_path*."""
    model: type[BaseModel] = DeclaredSuite
    for key in key_path:
        model = _inner_model(model, str(key)) or model
    return model


def _inner_model(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    field = next((f for name, f in model.model_fields.items() if key in (f.alias, name)), None)
    for kind in _types_in(field.annotation) if field else ():
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _types_in(annotation: Any) -> Iterable[Any]:
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _types_in(inner)


def anchor(*names: str) -> str:
    """Return the anchor of a key, from the name of its class, or of its rule, and its own."""
    return "-".join(name.removeprefix("Declared").lower() for name in names)


def key_address(*key_path: str | int) -> str:
    """Return the address of the entry on the deepest known key of *key_path*, or of the page."""
    for end in range(len(key_path), 0, -1):
        key, model = str(key_path[end - 1]), model_at(key_path[: end - 1])
        if key in declared_keys(model):
            rule = _rule_anchor(key, key_path[end:])
            return docs_page(PAGE, rule or anchor(model.__name__, key))
    return docs_page(PAGE)


def _rule_anchor(key: str, inner: KeyPath) -> str:
    """Return the anchor of the kind of rule in *inner*, the keys below ``score`` or ``format``."""
    kind = next((str(part) for part in inner if part in _RULES.get(key, ())), "")
    return anchor(key, kind) if kind else ""


def with_addresses(errors: Iterable[Diagnostic], document: Document) -> list[Diagnostic]:
    """Return *errors* with the address of its key at each one that lies in *document*.

    The keys of a marked function stand in Python, and have a page of their own.
    """
    if not document.path.endswith((".yaml", ".yml")):
        return [*errors]
    by_line = defaultdict[int, list[KeyPath]](list)
    for key_path, line in document.lines.items():
        by_line[line].append(key_path)
    return [
        replace(error, address=key_address(*_key_of(error.message, by_line[error.line])))
        if error.path == document.path and error.line in by_line
        else error
        for error in errors
    ]


def _key_of(message: str, key_paths: list[KeyPath]) -> KeyPath:
    """Return the key that *message* is about, of the keys that its line has."""
    words = {*re.findall(r"\w+", message)}
    deepest = sorted(key_paths, key=len, reverse=True)
    subject = _SUBJECT.match(message)
    for key_path in deepest:
        if key_path and str(key_path[-1]) in words:
            return key_path
    for key_path in deepest:
        if subject and subject[1] in declared_keys(model_at(key_path)):
            return (*key_path, subject[1])
    return min(key_paths, key=len)
