"""The import rules and the size limits of design.md as an executable picture."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import pytest_ftgate

PACKAGE = Path(__file__).parents[1] / "pytest_ftgate"

#: A room imports itself and the rooms left of it.
ORDER = (
    *("errors", "settings", "weights", "adapters", "stats", "readers", "skills", "suite"),
    *("requests", "providers", "cache", "client", "scoring", "gates", "recommend", "results"),
    *("reporting", "hookspecs", "runner", "plugin", "cli"),
)

SDKS = {
    "anthropic": {"providers.anthropic"},
    "ray": {"client.ray"},
    "genai_prices": {"suite.prices"},
    "xllamacpp": {"providers.llamacpp"},
}
MOST_LINES = 600
LONGEST_FUNCTION = 30
EMPTY_WORDS = re.compile(r"manager|helper|utils?(_|$)", re.IGNORECASE)

Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def name_of(path: Path) -> str:
    """Return ``gate.drop`` for ``pytest_ftgate/gate/drop.py``, and an empty name for the root."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@cache
def modules() -> dict[str, Path]:
    return {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text("utf-8"))


def imports(name: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of all that a module imports, inside functions as well."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno} imports relatively"
            whole = node.module == PACKAGE.name
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}" if whole else str(node.module)


def offenders(wrong: Callable[[str, str], bool]) -> list[str]:
    return [
        f"{name}:{line} imports {imported}"
        for name in modules()
        for line, imported in imports(name)
        if wrong(name, imported)
    ]


def place(module: str) -> int:
    return ORDER.index(module.split(".", maxsplit=1)[0])


def inside(imported: str) -> str:
    return imported.removeprefix(PACKAGE.name).removeprefix(".")


def definitions(name: str) -> list[Defined]:
    return [node for node in ast.walk(tree(name)) if isinstance(node, Defined)]


def assigned(node: ast.stmt) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    yield from (target.id for target in targets if isinstance(target, ast.Name))


@cache
def promised(name: str) -> tuple[ast.ImportFrom, ...]:
    """Return the imports that only type checkers follow."""
    blocks = [node for node in tree(name).body if isinstance(node, ast.If)]
    blocks = [node for node in blocks if ast.unparse(node.test) == "TYPE_CHECKING"]
    inner = [node for block in blocks for node in block.body]
    return tuple(node for node in inner if isinstance(node, ast.ImportFrom))


def public(name: str) -> set[str]:
    """Return the public names that a module defines at its top; the root lends those of others."""
    lent = promised(name) if not name else ()
    found = {alias.name for node in lent for alias in node.names}
    for node in tree(name).body:
        if isinstance(node, Defined):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            found.update(assigned(node))
    return {one for one in found if not one.startswith("_")}


def declared(name: str) -> set[str] | None:
    """Return what ``__all__`` names, or None where a module has none."""
    for node in tree(name).body:
        if isinstance(node, ast.Assign) and "__all__" in assigned(node):
            return {one for one in ast.literal_eval(node.value) if not one.startswith("__")}
    return None


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function does its work in; signature and docstring are not work."""
    body = function.body[ast.get_docstring(function) is not None :]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_every_module_has_its_place_in_the_order():
    strangers = {name.split(".")[0] for name in modules()} - {"", *ORDER}

    assert strangers == set()


def test_a_module_imports_only_its_own_stage_and_those_left_of_it():
    def right_of(name, imported):
        mine = imported.split(".")[0] == PACKAGE.name and inside(imported)
        return bool(name and mine and place(mine) > place(name))

    assert offenders(right_of) == []


def test_the_root_of_the_package_imports_no_stage_when_it_is_imported():
    # Its public names are fetched when they are used; only type checkers see where from.
    shown = {node.lineno for node in promised("")}
    mine = [one for one in imports("") if one[1].startswith(PACKAGE.name)]

    assert [one for one in mine if one[0] not in shown] == []


def test_every_public_name_of_the_package_can_be_fetched():
    names = declared("")

    assert names
    assert {name: getattr(pytest_ftgate, name).__name__ for name in names} == {
        name: name for name in names
    }


def test_no_stage_imports_pytest():
    def in_a_stage(name, imported):
        return name.split(".")[0] in STAGES and imported.split(".")[0] == "pytest"

    assert offenders(in_a_stage) == []


def test_nothing_imports_what_is_private_to_pytest():
    assert offenders(lambda _, imported: imported.split(".")[0] == "_pytest") == []


@pytest.mark.parametrize("sdk", SDKS)
def test_an_sdk_has_exactly_one_importing_module(sdk):
    importers = {name for name in modules() for _, one in imports(name) if one.split(".")[0] == sdk}

    assert importers == SDKS[sdk]


def test_modules_stay_under_their_limit():
    lengths = {
        name: len(path.read_text("utf-8").split("\n")) - 1 for name, path in modules().items()
    }

    assert {name: n for name, n in lengths.items() if n >= MOST_LINES} == {}


def test_functions_stay_under_their_limit():
    lengths = {
        f"{name}:{one.lineno} {one.name}": body_lines(one)
        for name in modules()
        for one in definitions(name)
        if not isinstance(one, ast.ClassDef)
    }

    assert {name: n for name, n in lengths.items() if n >= LONGEST_FUNCTION} == {}


def test_all_names_exactly_what_a_module_defines_publicly():
    wrong = {
        name: sorted(public(name) ^ named)
        for name in modules()
        if (named := declared(name)) is not None and named != public(name)
    }

    assert wrong == {}


def test_no_name_says_nothing():
    names = {f"{name}: {one.name}" for name in modules() for one in definitions(name)}
    empty = {one for one in {*names, *modules()} if EMPTY_WORDS.search(one.split(": ")[-1])}

    assert empty == set()
