"""Write the reference pages from the code, and build the site.

    python docs/site.py reference    write docs/reference/*.md
    python docs/site.py faults       write docs/faults.md from the table of the tests
    python docs/site.py build        build the site into .site/out, with every link checked

Zensical builds what lies in one folder, so the pages are copied to .site/docs first; links to other
files of the repository become plain text there.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest_ftgate
from pytest_ftgate.cli import main as cli
from pytest_ftgate.reporting.writers import run_schema
from pytest_ftgate.settings import add_options
from pytest_ftgate.suite.schema import suite_schema

DOCS = Path(__file__).parent
STAGE = DOCS.parent / ".site"
#: The title of each class of the suite file, in the order of the page.
TITLES = {
    "": "The suite",
    "DeclaredReply": "reply",
    "DeclaredCase": "A case",
    "Message": "A message of a case",
    "DeclaredColumns": "columns",
    "DeclaredVariant": "A variant",
    "DeclaredBase": "base",
    "DeclaredExamples": "examples",
    "DeclaredRetrieve": "retrieve",
    "DeclaredGates": "gates",
    "DeclaredAccuracy": "gates.accuracy",
    "DeclaredFormatGate": "gates.format",
    "DeclaredThoughts": "gates.format.thoughts",
    "DeclaredForgetting": "gates.forgetting",
    "DeclaredLog": "A log as a skill",
    "DeclaredDivergence": "gates.divergence",
    "DeclaredCost": "gates.cost",
    "DeclaredLatency": "gates.latency",
    "DeclaredData": "gates.data",
    "DeclaredRepeats": "repeats",
    "DeclaredEconomics": "economics",
    "Spend": "economics.variants",
    "Thresholds": "ladder",
}
_GENERATED = "<!-- Made by python docs/site.py reference; change the code, not this page. -->\n"


def pages() -> dict[str, str]:
    """Return the text of each page of the reference by its name."""
    made = {
        "suite-keys": _suite_keys,
        "options": _options,
        "verbs": _verbs,
        "hooks": _hooks,
        "run-record": _run_record,
    }
    return {name: _GENERATED + "\n".join(lines()) + "\n" for name, lines in made.items()}


def _cell(text: Any) -> str:
    return " ".join(str(text).replace("|", r"\|").split())


def _row(*cells: Any) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


# Suite keys --------------------------------------------------------------------------------------


def _suite_keys() -> Iterator[str]:
    schema = json.loads(suite_schema())
    yield "# Suite keys\n\nEvery key of a suite file, from its JSON Schema"
    yield "(`pytest-ftgate schema`). What they mean in full, with examples:"
    yield "[the suite file](../suite.md); `score` and `format`: [scores](../scores.md)."
    for name, title in TITLES.items():
        part = schema["$defs"].get(name, schema)
        yield f"\n## {title}\n"
        if name:
            yield f"{part['description'].partition('; see')[0].rstrip('.')}.\n"
        yield "| key | type | default | meaning |\n|---|---|---|---|"
        required = part.get("required", ())
        for key, keys in part["properties"].items():
            default = "required" if key in required else _default(keys)
            yield _row(f"`{key}`", _type(keys), default, keys.get("description", ""))


def _default(keys: Mapping[str, Any]) -> str:
    value = keys.get("default")
    is_scalar = value not in (None, "") and not isinstance(value, list | dict)
    return f"`{json.dumps(value, ensure_ascii=False)}`" if is_scalar else ""


def _type(keys: Mapping[str, Any]) -> str:
    """Return the type of a key in words."""
    choices = keys.get("anyOf") or keys.get("oneOf")
    if choices:
        kinds = [_type(one) for one in choices if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in keys:
        name = keys["$ref"].rpartition("/")[2]
        title = TITLES.get(name)
        return f"[{title}](#{_anchor(title)})" if title else "rule"
    if "enum" in keys:
        return ", ".join(f"`{value}`" for value in keys["enum"])
    if "const" in keys:
        return f"`{keys['const']}`"
    if keys.get("type") == "array":
        inner = _type(keys.get("items", {}))
        return "list of rules" if inner == "rule" else f"list of {inner}"
    return _plain_type(keys)


def _plain_type(keys: Mapping[str, Any]) -> str:
    words = {"string": "text", "boolean": "true or false", "object": "mapping", "null": "empty"}
    kind = keys.get("type", "")
    if isinstance(kind, list):
        return " or ".join(_plain_type({**keys, "type": one}) for one in kind)
    if kind not in ("integer", "number"):
        return words.get(kind, "any value")
    noun = "whole number" if kind == "integer" else "number"
    bounds = {"minimum": "from", "exclusiveMinimum": "above"}
    bounds |= {"maximum": "to", "exclusiveMaximum": "below"}
    limits = [f"{word} {keys[key]:g}" for key, word in bounds.items() if key in keys]
    return " ".join([noun, *limits])


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


# Options and verbs -------------------------------------------------------------------------------


class _Recorder:
    """Takes options and configuration keys in place of pytest's parser."""

    def __init__(self) -> None:
        self.options: list[tuple[str, Mapping[str, Any]]] = []
        self.keys: dict[str, Any] = {}

    def getgroup(self, *_: Any) -> _Recorder:
        """Return the group of options: this object."""
        return self

    def addoption(self, name: str, **keywords: Any) -> None:
        """Take one option."""
        self.options.append((name, keywords))

    def addini(self, name: str, *_: Any, **keywords: Any) -> None:
        """Take one configuration key."""
        self.keys[name] = keywords.get("default")


def _options() -> Iterator[str]:
    recorder = _Recorder()
    add_options(recorder)
    yield "# Options and configuration keys\n\nThe options of `pytest`, and the keys of its"
    yield "configuration file. The command line wins. More on each: [the suite"
    yield "file](../suite.md#options-and-configuration) and [flags](../pytest.md#flags).\n"
    yield "| option | key | meaning |\n|---|---|---|"
    for name, keywords in recorder.options:
        value = "|".join(keywords.get("choices", ())) or keywords.get("metavar", "")
        key = name.removeprefix("--").replace("-", "_")
        shown = f"`{key}`" if key in recorder.keys else ""
        yield _row(f"`{name}{'=' if value else ''}{value}`", shown, keywords["help"])
    yield _row("", "`ftgate_files`", "Globs of suite files; `*.ftgate.yaml` by default.")
    yield "\n## Exit codes\n\n| command | code | meaning |\n|---|---|---|"
    yield from (_row(*cells) for cells in _EXIT_CODES)


_EXIT_CODES = (
    ("`pytest --ftgate`", 0, "every selected gate passed, and at least one was evaluated"),
    ("", 1, "a gate failed, is inconclusive (unless `warn`) or invalid, or was not evaluated"),
    (
        "",
        "2 to 5",
        "as pytest's: interrupted, an internal error, a wrong option, nothing collected",
    ),
    ("`pytest-ftgate compare`", "0, 1, 3", "passed, failed, inconclusive"),
    ("", 2, "a file or an option cannot be used"),
    ("`pytest-ftgate import`", "0, 1", "the suite loads; it was written and has errors to mend"),
    ("", 2, "nothing was written"),
    ("every other verb", 0, "done"),
    ("", 1, "not done, or a problem was found; the output says which"),
    ("", 2, "the command line is wrong"),
)


def _verbs() -> Iterator[str]:
    yield "# Verbs\n\n`pytest-ftgate VERB`: commands that run no tests."
    own, cache = cli._VERBS, cli._CACHE_ACTIONS  # noqa: SLF001
    for prefix, verbs in (("", own), ("cache ", cache)):
        for verb in verbs:
            yield f"\n## {prefix}{verb.name}\n\n{verb.help[0].upper()}{verb.help[1:]}.\n"
            yield "| argument | meaning |\n|---|---|"
            for name, keywords in verb.options:
                metavar = keywords.get("metavar") or ("" if "action" in keywords else "VALUE")
                shown = f"{name} {metavar}" if name.startswith("-") else name
                yield _row(f"`{shown.strip()}`", keywords.get("help", _usual_help(name)))
            if verb.epilog:
                yield f"\n```text\n{verb.epilog.rstrip()}\n```"


def _usual_help(name: str) -> str:
    usual = {"suite": "the suite file", "file": "the file", "--seed": "the seed (default: 0)"}
    return usual.get(name, "")


# Hooks and the run record ------------------------------------------------------------------------


def _hooks() -> Iterator[str]:
    yield "# Hooks\n\nWhat plugins and `conftest.py` files may implement, from"
    yield "`pytest_ftgate/hookspecs.py`. Each has an example in [hooks](../hooks.md)."
    source = Path(pytest_ftgate.__file__).with_name("hookspecs.py").read_text("utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("pytest_ftgate_"):
            arguments = ast.unparse(node.args)
            result = ast.unparse(node.returns) if node.returns else "None"
            yield f"\n## {node.name}\n\n```text\n{node.name}({arguments}) -> {result}\n```\n"
            yield (ast.get_docstring(node) or "").replace("``", "`")


def _run_record() -> Iterator[str]:
    schema = json.loads(run_schema())
    yield "# The run record\n\nWhat `--ftgate-json` writes, from its JSON Schema"
    yield "(`pytest-ftgate schema run`). How to use it: [reports](../reports.md)."
    for name, part in {"The record": schema, **schema["$defs"]}.items():
        summary, _, attributes = (part.get("description") or "").partition("Attributes:")
        yield f"\n## {name}\n\n{' '.join(summary.split()).replace('``', '`')}\n"
        if not part.get("properties"):
            values = part.get("enum", ())
            yield ", ".join(f"`{value}`" for value in values)
            continue
        meanings = _attributes(attributes)
        yield "| key | type | meaning |\n|---|---|---|"
        for key, keys in part["properties"].items():
            yield _row(f"`{key}`", _record_type(keys), meanings.get(key, ""))


def _attributes(text: str) -> dict[str, str]:
    """Return what a docstring says about each attribute."""
    parts = re.split(r"^\s{4}(\w+(?:, \w+)*): ", text, flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {
        name: " ".join(meaning.split()).replace("``", "`")
        for names, meaning in pairs
        for name in names.split(", ")
    }


def _record_type(keys: Mapping[str, Any]) -> str:
    choices = keys.get("anyOf")
    if choices:
        return " or ".join(dict.fromkeys(_record_type(one) for one in choices))
    if "$ref" in keys:
        name = keys["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})"
    if keys.get("type") == "array":
        inner = keys.get("items") or next(iter(keys.get("prefixItems", ())), {})
        return f"list of {_record_type(inner)}"
    return _plain_type({"type": keys.get("type", "")})


# The site ----------------------------------------------------------------------------------------


def write_reference() -> None:
    """Write the pages of the reference."""
    for name, text in pages().items():
        path = DOCS / "reference" / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


def stage() -> None:
    """Copy the pages into the folder from which the site is built."""
    shutil.rmtree(STAGE, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.py", "*.toml", "__pycache__", ".*")
    shutil.copytree(DOCS, STAGE / "docs", ignore=ignored)
    shutil.copy(DOCS.parent / "CHANGELOG.md", STAGE / "docs" / "changelog.md")
    shutil.copy(DOCS / "zensical.toml", STAGE)
    for path in (STAGE / "docs").rglob("*.md"):
        depth = len(path.relative_to(STAGE / "docs").parts)
        outside = re.compile(rf"\[([^\]]+)\]\((?:\.\./){{{depth}}}([^)]+)\)")
        text = path.read_text("utf-8")
        path.write_text(outside.sub(r"\1 (`\2` in the repository)", text), "utf-8")


def write_faults() -> None:
    """Write the page of the fault matrix."""
    sys.path.insert(0, str(DOCS.parent / "tests" / "support"))
    import faults

    (DOCS / "faults.md").write_text("\n".join(faults.page()) + "\n", "utf-8")


def build() -> int:
    """Build the site with every warning as an error, and return the exit code."""
    stage()
    command = [sys.executable, "-m", "zensical", "build", "--strict", "-f", "zensical.toml"]
    return subprocess.run(command, cwd=STAGE, check=False).returncode


if __name__ == "__main__":
    if sys.argv[1:] == ["reference"]:
        write_reference()
    elif sys.argv[1:] == ["faults"]:
        write_faults()
    elif sys.argv[1:] == ["build"]:
        raise SystemExit(build())
    else:
        raise SystemExit(__doc__)
