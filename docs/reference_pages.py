"""The pages of the reference, made from the code."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import yaml
from schemas import mappings_of_schema, reference_notes, run_schema, suite_schema

import pytest_ftgate
from pytest_ftgate import errors
from pytest_ftgate.cli import main as cli
from pytest_ftgate.settings import add_options
from pytest_ftgate.suite import providers
from pytest_ftgate.suite.loader import anchor

#: The title of each class of the suite file, in the order of the page.
TITLES = {
    "DeclaredSuite": "The suite",
    "DeclaredReply": "reply",
    "DeclaredCase": "A case",
    "DeclaredInputs": "inputs",
    "Message": "A message of a case",
    "DeclaredColumns": "columns",
    "DeclaredVariant": "A variant",
    "DeclaredLoad": "load",
    "DeclaredBase": "base",
    "DeclaredExamples": "examples",
    "DeclaredCommand": "command",
    "DeclaredRetrieve": "retrieve",
    "DeclaredGates": "gates",
    "DeclaredAccuracy": "gates.accuracy",
    "DeclaredFormatGate": "gates.format",
    "DeclaredThoughts": "gates.format.thoughts",
    "DeclaredForgetting": "gates.forgetting",
    "DeclaredLog": "A log as a skill",
    "DeclaredCost": "gates.cost",
    "DeclaredLatency": "gates.latency",
    "DeclaredUsage": "gates.usage",
    "DeclaredData": "gates.data",
    "Economics": "economics",
    "Spend": "economics.variants",
    "DeclaredLadder": "ladder",
    "Format": "format",
    "Score": "score",
}
_RULES = {
    "Format": "A format is a mapping with one of these keys.",
    "Score": "A score is one of these names, or a mapping of one with its options.",
}
#: A text of fewer words may stand several times.
_FEWEST_WORDS = 4
_WIDEST_SIGNATURE = 90
_GENERATED = "<!-- Made by python docs/site.py reference; change the code, not this page. -->\n"


def pages() -> dict[str, str]:
    """Return the text of each page of the reference by its name."""
    made = {
        "suite-keys": _suite_keys,
        "options": _options,
        "verbs": _verbs,
        "hooks": _hooks,
        "run-record": _run_record,
        "python-api": _python_api,
        "errors": _errors,
    }
    return {name: _GENERATED + "\n".join(lines()) + "\n" for name, lines in made.items()}


def _cell(text: Any) -> str:
    return " ".join(str(text).replace("|", r"\|").split())


def _row(*cells: Any) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _code(text: str) -> str:
    """Return *text* of a docstring with code as Markdown has it."""
    return " ".join(text.split()).replace("``", "`")


@dataclasses.dataclass(slots=True)
class _Once:
    """Gives each text of a page once, and then a link to the place where it stands."""

    places: dict[str, str] = dataclasses.field(default_factory=dict)

    def __call__(self, text: str, name: str, target: str) -> str:
        """Return *text*, about *name* at the anchor *target*, or a link to the first such text."""
        if len(text.split()) < _FEWEST_WORDS:
            return text
        first = self.places.setdefault(text, f"as [{name}](#{target})")
        return text if first == f"as [{name}](#{target})" else first


# Suite keys --------------------------------------------------------------------------------------


def _suite_keys() -> Iterator[str]:
    schema = json.loads(suite_schema())
    yield "# Suite keys\n\nEvery key of a suite file, from its JSON Schema"
    yield "(`pytest-ftgate schema`). An error in a suite ends with the address of its key here."
    yield "How they work together: [the suite file](../suite.md) and"
    yield "[scores and formats](../scores.md)."
    once, notes = _Once(), reference_notes()["suite-keys"]
    parts: dict[str, dict[str, Any]] = {}
    for name, properties in mappings_of_schema(schema):
        parts[name] = {**properties, **parts.get(name, {})}
    for name, title in TITLES.items():
        part = schema["$defs"].get(name, schema)
        yield f"\n## {title}\n"
        yield from _introduction(name, part, once)
        yield from _key_table(name, parts[name], part.get("required", ()), once)
        for inner, properties in parts.items():
            if inner.startswith(f"{name.lower()}."):
                yield f"\n### {inner}\n"
                yield from _key_table(inner.replace(".", "-"), properties, (), once)
        yield from _note(notes, name)
        if name == "DeclaredVariant":
            yield from _servers()


def _servers() -> Iterator[str]:
    """Yield the usual address and key of each server that the package knows by name."""
    yield "\n### Servers and hosted APIs\n\nAll of them take `provider: openai-compatible`.\n"
    yield "| name | `base_url` | `api_key_env` |\n|---|---|---|"
    for name, (url, key) in providers._SERVERS.items():  # noqa: SLF001
        if url:
            yield _row(name, f"`{url}`", f"`{key}`" if key else "")


def _note(notes: Mapping[str, str], name: str) -> Iterator[str]:
    """Yield what a page says below the section *name*, if anything."""
    if name in notes:
        yield f"\n{notes[name].rstrip()}"


def _introduction(name: str, part: Mapping[str, Any], once: _Once) -> Iterator[str]:
    if name in _RULES:
        yield f"{_RULES[name]}\n"
        return
    text = part.get("description", "").partition("; see")[0].rstrip(".") + "."
    if name != "DeclaredSuite" and text == once(text, "", name):
        yield f"{text}\n"


def _key_table(
    name: str, properties: Mapping[str, Any], required: Iterable[str], once: _Once
) -> Iterator[str]:
    yield "| key | meaning | type | example |\n|---|---|---|---|"
    for key, keys in properties.items():
        target = anchor(name, key)
        default = "; **required**" if key in required else _default(keys)
        shown = name.removeprefix("Declared").lower().replace("-", ".")
        text = once(keys.get("description", ""), f"`{shown}.{key}`", target)
        text += _readers(key) if name == "DeclaredVariant" else ""
        link = f'<a id="{target}"></a>`{key}`'
        yield _row(link, text, _type(keys) + default, _example(keys))


def _readers(key: str) -> str:
    """Return who reads a key of a variant, if not every provider does."""
    readers = [name for name, spec in providers.PROVIDERS.items() if key in spec.reads]
    required = [name for name, spec in providers.PROVIDERS.items() if key in spec.required]
    if not readers or len(readers) == len(providers.PROVIDERS):
        return ""
    needed = f"; required by {', '.join(required)}" if required else ""
    return f" *Read by* {', '.join(readers)}{needed}."


def _example(keys: Mapping[str, Any]) -> str:
    """Return the example of a key as YAML on one line."""
    if "examples" not in keys:
        return ""
    options = {"default_flow_style": True, "allow_unicode": True, "width": 10_000}
    written = yaml.safe_dump(keys["examples"][0], sort_keys=False, **options)
    written = written.removesuffix("...\n").strip()
    return f"`{written}`"


def _default(keys: Mapping[str, Any]) -> str:
    value = keys.get("default")
    is_scalar = value not in (None, "") and not isinstance(value, list | dict)
    return f"; default `{json.dumps(value, ensure_ascii=False)}`" if is_scalar else ""


def _type(keys: Mapping[str, Any]) -> str:
    """Return the type of a key in words."""
    choices = keys.get("anyOf") or keys.get("oneOf")
    if choices:
        kinds = [_type(one) for one in choices if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in keys:
        title = TITLES[keys["$ref"].rpartition("/")[2]]
        return f"[{title}](#{_slug(title)})"
    if "enum" in keys:
        return ", ".join(f"`{value}`" for value in keys["enum"])
    if "const" in keys:
        return f"`{keys['const']}`"
    if keys.get("type") == "array":
        return f"list of {_type(keys.get('items', {}))}"
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


def _slug(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


# Options and verbs -------------------------------------------------------------------------------


def _options() -> Iterator[str]:
    parser = Mock()
    add_options(parser)
    options = [(*call.args, call.kwargs) for call in parser.getgroup().addoption.call_args_list]
    keys = dict(call.args for call in parser.addini.call_args_list)
    yield "# Options and configuration keys\n\nThe options of `pytest`, and the keys of its"
    yield "configuration file. The command line wins. Options of pytest itself:"
    yield "[flags](../pytest.md#flags).\n"
    yield "| option | key | meaning |\n|---|---|---|"
    for name, keywords in options:
        value = "|".join(keywords.get("choices", ())) or keywords.get("metavar", "")
        key = name.removeprefix("--").replace("-", "_")
        shown = f"`{key}`" if keys.pop(key, "") else ""
        yield _row(f"`{name}{'=' if value else ''}{value}`", shown, keywords["help"])
    yield from (_row("", f"`{key}`", text) for key, text in keys.items())
    yield "\nA key without an option is what a project sets once; `-o ftgate_engine=ray` sets one"
    yield "for a single run."
    yield "\n## Exit codes\n\n| command | code | meaning |\n|---|---|---|"
    yield from (_row(*cells) for cells in _EXIT_CODES)
    yield "\nIn a pipe the shell reports the last command, such as `head`: write `set -o"
    yield "pipefail`. A command whose output is closed or cut off ends as it would without that; a"
    yield "verb that decides nothing then ends with 0, since its work is done. An"
    yield "output that cannot be written, as on a full disk, is an error."
    yield from _note(reference_notes(), "options")


_EXIT_CODES = (
    ("`pytest --ftgate`", 0, "every selected gate passed, and at least one was evaluated"),
    ("", 1, "a gate failed, is inconclusive (unless `warn`) or invalid, or was not evaluated"),
    ("", 2, "the run was interrupted, or something could not be collected"),
    ("", 3, "an internal error, whatever the gates were; the message names file and line"),
    ("", "4, 5", "as pytest's: a wrong option, nothing collected"),
    ("`pytest-ftgate compare`", "0, 1, 3", "passed, failed, inconclusive"),
    ("", 2, "a file or an option cannot be used"),
    ("`pytest-ftgate import`", "0, 1", "the suite loads; it was written and has errors to mend"),
    ("", 2, "nothing was written"),
    ("every other verb", 0, "done"),
    ("", 1, "not done, or a problem was found; the output says which"),
    ("", 2, "the command line is wrong"),
    ("each verb", 4, "an internal error, as 3 of `pytest --ftgate`"),
)


def _verbs() -> Iterator[str]:
    yield "# Verbs\n\n`pytest-ftgate VERB`: commands that run no tests."
    own, cache, once = cli._VERBS, cli._CACHE_ACTIONS, _Once()  # noqa: SLF001
    notes = reference_notes()["verbs"]
    for prefix, verbs in (("", own), ("cache ", cache)):
        for verb in verbs:
            title = f"{prefix}{verb.name}"
            yield f"\n## {title}\n\n{verb.help[0].upper()}{verb.help[1:]}.\n"
            yield "| argument | meaning |\n|---|---|"
            for name, keywords in verb.options:
                metavar = keywords.get("metavar") or ("" if "action" in keywords else "VALUE")
                shown = f"{name} {metavar}" if name.startswith("-") else name
                text = _cell(keywords.get("help", _usual_help(name)))
                yield _row(f"`{shown.strip()}`", once(text, f"`{title}`", _slug(title)))
            if verb.epilog:
                yield f"\n```text\n{verb.epilog.rstrip()}\n```"
            yield from _note(notes, title)
    yield from _note(notes, "start")


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
            yield f"\n## {node.name}\n\n```text\n{_signature(node)}\n```\n"
            yield (ast.get_docstring(node) or "").replace("``", "`")


def _signature(node: ast.FunctionDef) -> str:
    result = ast.unparse(node.returns) if node.returns else "None"
    line = f"{node.name}({ast.unparse(node.args)}) -> {result}"
    if len(line) <= _WIDEST_SIGNATURE:
        return line
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults = [f" = {ast.unparse(value)}" for value in node.args.defaults]
    defaults = [""] * (len(positional) - len(defaults)) + defaults
    named = [ast.unparse(a) + value for a, value in zip(positional, defaults, strict=True)]
    named[len(node.args.posonlyargs) : 0] = ["/"] if node.args.posonlyargs else []
    rest = ["*"] if node.args.kwonlyargs else []
    for argument, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        rest.append(ast.unparse(argument) + (f" = {ast.unparse(value)}" if value else ""))
    return f"{node.name}(\n" + "".join(f"    {one},\n" for one in named + rest) + f") -> {result}"


def _run_record() -> Iterator[str]:
    schema = json.loads(run_schema())
    yield "# The run record\n\nWhat `--ftgate-json` writes, from its JSON Schema"
    yield "(`pytest-ftgate schema run`). How to use it: [reports](../reports.md)."
    once = _Once()
    for name, part in {"The record": schema, **schema["$defs"]}.items():
        summary, _, attributes = (part.get("description") or "").partition("Attributes:")
        yield f"\n## {name}\n\n{_code(summary)}\n"
        if not part.get("properties"):
            values = part.get("enum", ())
            yield ", ".join(f"`{value}`" for value in values)
            continue
        yield "| key | type | meaning |\n|---|---|---|"
        for names, types, meaning in _record_rows(part["properties"], attributes):
            keys = ", ".join(f"`{one}`" for one in names)
            yield _row(keys, types, once(meaning, f"{name}.{names[0]}", _slug(name)))


def _record_rows(
    properties: Mapping[str, Any], attributes: str
) -> Iterator[tuple[list[str], str, str]]:
    """Yield the keys, types and meaning of each row; keys that are told together share one."""
    meanings = _attributes(attributes)
    together = {name: names for names in meanings for name in names}
    done = set[str]()
    for key in properties:
        names = [name for name in together.get(key, (key,)) if name in properties]
        if key not in done:
            done |= {*names}
            types = " or ".join(dict.fromkeys(_record_type(properties[name]) for name in names))
            yield names, types, meanings.get(together.get(key, ()), "")


def _attributes(text: str) -> dict[tuple[str, ...], str]:
    """Return what a docstring says about each attribute, or about several together."""
    parts = re.split(r"^\s{4}(\w+(?:, \w+)*): ", text, flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {tuple(names.split(", ")): _code(meaning) for names, meaning in pairs}


def _record_type(keys: Mapping[str, Any]) -> str:
    choices = keys.get("anyOf")
    if choices:
        return " or ".join(dict.fromkeys(_record_type(one) for one in choices))
    if "$ref" in keys:
        name = keys["$ref"].rpartition("/")[2]
        return f"[{name}](#{_slug(name)})"
    if keys.get("type") == "array":
        inner = keys.get("items") or next(iter(keys.get("prefixItems", ())), {})
        return f"list of {_record_type(inner)}"
    return _plain_type({"type": keys.get("type", "")})


# Python and errors -------------------------------------------------------------------------------


def _python_api() -> Iterator[str]:
    yield "# Python API\n\nThe names that `import pytest_ftgate` offers; others may change in any"
    yield "release. How to use them: [in Python](../python.md) and [in pytest](../pytest.md)."
    recorded, once = {*json.loads(run_schema())["$defs"]}, _Once()
    for name in sorted({*pytest_ftgate.__all__} - {"__version__"}, key=str.lower):
        kind = getattr(pytest_ftgate, name)
        yield f"\n## {name}\n"
        if inspect.isclass(kind) and issubclass(kind, Exception):
            yield f"An exception: [{name}](errors.md#{name.lower()})."
        elif name == "Report" or name in recorded:
            section = _slug("The record" if name == "Report" else name)
            yield f"See [the run record](run-record.md#{section})."
        elif inspect.isclass(kind):
            yield from _class_lines(kind, once)
        else:
            (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
            yield f"```text\n{_signature(node)}\n```\n"
            yield from _docstring_lines(inspect.getdoc(kind) or "")


def _class_lines(kind: type[Any], once: _Once) -> Iterator[str]:
    summary, _, attributes = (inspect.getdoc(kind) or "").partition("Attributes:")
    yield from _docstring_lines(summary)
    meanings = {name: text for names, text in _attributes(attributes).items() for name in names}
    fields = [f for f in getattr(kind, "__dataclass_fields__", {}).values() if f.name[0] != "_"]
    if fields:
        yield "\n| attribute | type | meaning |\n|---|---|---|"
        yield from (_row(f"`{f.name}`", f"`{f.type}`", meanings.get(f.name, "")) for f in fields)
    elif meanings:
        yield "\n| attribute | meaning |\n|---|---|"
        yield from (_row(f"`{name}`", text) for name, text in meanings.items())
    yield from _method_lines(kind, once)


def _method_lines(kind: type[Any], once: _Once) -> Iterator[str]:
    own = (each for each in kind.__mro__ if each.__module__.startswith("pytest_ftgate."))
    methods = {
        name: value
        for name, value in chain.from_iterable(vars(each).items() for each in reversed([*own]))
        if inspect.isfunction(value) and not name.startswith("_") and inspect.getdoc(value)
    }
    for name, value in methods.items():
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
        title = f"{kind.__name__}.{name}"
        yield f"\n### {title}\n\n```text\n{_signature(node)}\n```\n"
        yield from _docstring_lines(once(inspect.getdoc(value) or "", f"`{title}`", _slug(title)))


def _docstring_lines(text: str) -> Iterator[str]:
    """Yield a docstring as Markdown: its sections as tables."""
    head, *sections = re.split(r"^(Args|Raises):\n", text, flags=re.MULTILINE)
    yield head.replace("``", "`").strip()
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        yield f"\n| {'argument' if title == 'Args' else 'raises'} | |\n|---|---|"
        entries = _attributes(textwrap.indent(textwrap.dedent(body), "    "))
        for names, meaning in entries.items():
            yield _row(", ".join(f"`{name}`" for name in names), meaning)


def _errors() -> Iterator[str]:
    yield "# Errors\n\nThe exceptions of the package, as a tree. None of them is a verdict: a gate"
    yield "that meets one is *not evaluated*, and the run is red. How each kind of gate ends, and"
    yield "which command leads on, is in [every way a gate ends](../contributing/ends.md).\n"
    tree = (errors.__doc__ or "").partition("\n\n")[2].rstrip()
    names = [re.split(r"(?<=\w)  +", line)[0] for line in tree.splitlines()]
    yield "\n".join(["```text", *names, "```"])
    for kind in (*_tree(errors.FtgateError), errors.EngineError):
        meaning, _, remedy = (inspect.getdoc(kind) or "").partition("Remedy: ")
        remedy = remedy.partition("\n\n")[0]
        parent = kind.__mro__[1].__name__
        yield f"\n## {kind.__name__}\n\n{_code(meaning.partition('Args:')[0])}\n"
        yield f"**What to do**: {_code(remedy)}"
        if parent != "Exception":
            yield f"\nA kind of [{parent}](#{parent.lower()})."


def _tree(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            yield from _tree(inner)
