"""No sentence is made in ``gates``, ``recommend`` and ``results``: they give kinds and values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest_ftgate

PACKAGE = Path(pytest_ftgate.__file__).parent
ROOMS = ("gates", "recommend", "results")
#: So many words in a row are a sentence.
WORDS = 4
#: Names of kinds that are as long as a sentence.
KINDS = {
    *("request both sides again", "request again to measure"),
    *("in the trained task's format", "try a cheaper approach first"),
    *("a Hugging Face token", "a social security number"),
}
#: Modules that still make sentences. The list may only shrink.
PENDING = {
    *("results.accepted", "results.builder", "results.history", "results.run"),
}


def text_of(node: ast.AST) -> str:
    """Return the text of a string, with a digit for each field; "" for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "0" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_sentence(text: str) -> bool:
    """Return True if *text* has so many words between spaces."""
    return len(re.findall(r"(?<!\S)[(“\"]?[A-Za-z][A-Za-z'’-]*[,;:.)”\"]*(?!\S)", text)) >= WORDS


def exempt(node: ast.AST) -> bool:
    """Return True for what may hold sentences: docstrings, and messages of errors."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        return name.endswith(("Error", "Exception")) or name == "Diagnostic"
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_docstring or isinstance(node, ast.Raise)


def sentences(node: ast.AST) -> Iterator[str]:
    """Yield the sentences in the code of *node*."""
    for child in ast.iter_child_nodes(node):
        text = text_of(child)
        if is_sentence(text) and text not in KINDS:
            yield text
        elif not exempt(child):
            yield from sentences(child)


def test_no_sentence_is_made_where_only_kinds_and_values_belong():
    found = {
        f"{room}.{path.stem}": [*sentences(ast.parse(path.read_text("utf-8")))]
        for room in ROOMS
        for path in (PACKAGE / room).glob("*.py")
    }

    assert {name: texts for name, texts in found.items() if texts and name not in PENDING} == {}
    assert {name for name in PENDING if not found[name]} == set()


def test_what_is_a_sentence_and_what_is_none():
    code = '"""A module of so many words."""\nx = f"{n} of {of} are gone today"'

    (made,) = sentences(ast.parse(code))

    assert made == "0 of 0 are gone today"
    assert [*sentences(ast.parse('raise ValueError("it is not what it was")'))] == []
    assert [*sentences(ast.parse('x = "rate", "not measured", "max_drop: 0.05"'))] == []
