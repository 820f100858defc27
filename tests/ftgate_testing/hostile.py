"""Hostile inputs: how they are made of the files in tests/hostile, who reads them, what must hold.

The file of an input has these keys: ``about`` says what it attacks and what it must get, ``files``
has the content of each file, ``gets`` the outcome by reader, ``asks`` further words of the command.
A content is a text, or a list of parts that are joined:

- a text;
- ``{repeat: PARTS, times: N}``;
- ``{json: VALUE}``, a line of it;
- ``{hex: DIGITS}``;
- ``{pack: LAYOUT, of: [VALUE, ...]}``, as `struct.pack` writes it;
- ``{zeros: N}``, which take no room on the disk;
- ``{zip: {NAME: PARTS}}``;
- ``{sqlite: [STATEMENT, ...]}``, a database;
- ``{link: TARGET}``, a symbolic link.
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
import struct
import xml.etree.ElementTree as ET
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import yaml

from ftgate_testing.bounded import Ended

FOLDER = Path(__file__).parents[1] / "hostile"
#: The most memory of a command, with the megabytes of the package itself.
MEGABYTES = 900
#: Variables of every command, whose values no output and no report may have.
SECRETS = {"OPENAI_API_KEY": "sk-0wn3d", "HOOK_URL": "http://127.0.0.1:9/services/T0wn3d"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an input must get.

    Attributes:
        kind: ``refused``: no verdict, no exit code 0; ``read``: it is harmless.
        says: what the command prints, as a pattern; white space counts as one space.
    """

    kind: Literal["refused", "read"]
    says: str


@dataclass(frozen=True, slots=True)
class Input:
    """One hostile input, of the file *name*; the others are those of the file."""

    name: str
    about: str
    files: Mapping[str, Any]
    gets: Mapping[str, Outcome]
    asks: Sequence[str] = field(default=())


def read_input(path: Path) -> Input:
    values = yaml.safe_load(path.read_text("utf-8"))
    outcomes = {
        reader: Outcome(*kind_and_words)
        for reader, gets in values.pop("gets").items()
        for kind_and_words in gets.items()
    }
    return Input(name=path.stem, gets=outcomes, **values)


INPUTS = {path.stem: read_input(path) for path in sorted(FOLDER.glob("*.yaml"))}


# How inputs are made ------------------------------------------------------------------------------


def write_files(folder: Path, files: Mapping[str, Any]) -> None:
    """Write *files*, each of its recipe."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        match content:
            case {"zeros": size}:
                with path.open("wb") as stream:
                    stream.truncate(size)
            case {"link": target}:
                path.symlink_to(target)
            case {"sqlite": statements}:
                with closing(sqlite3.connect(path)) as database, database:
                    for statement in statements:
                        database.execute(statement)
            case _:
                path.write_bytes(made(content))


def made(content: Any) -> bytes:
    """Return the bytes of a recipe."""
    match content:
        case str():
            data = content.encode("utf-8", "surrogatepass")
        case list():
            data = b"".join(map(made, content))
        case {"repeat": parts, "times": times}:
            data = made(parts) * int(times)
        case {"json": value}:
            data = f"{json.dumps(value)}\n".encode()
        case {"hex": digits}:
            data = bytes.fromhex(digits)
        case {"pack": layout, "of": values}:
            packed = (one.encode() if isinstance(one, str) else one for one in values)
            data = struct.pack(layout, *packed)
        case {"zip": members}:
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for name, parts in members.items():
                    archive.writestr(name, made(parts))
            data = stream.getvalue()
        case _:
            raise ValueError(f"no recipe: {content!r}")
    return data


# Who reads them -----------------------------------------------------------------------------------

ROWS = [
    {"id": f"t{n}", "input": f"Ticket {n}", "expected": ("billing", "refund")[n % 2]}
    for n in range(10)
]
GOOD = [{"json": {"id": row["id"], "text": row["expected"]}} for row in ROWS]
SUITE = """\
cases: {cases}
reply: {{format: {{{format}}}, score: exact}}
variants: {{current: {{{variant}}}}}
gates: {{accuracy: {{min: 0.5}}, format: {{min: 0.5}}}}
"""
REPORTS = {"json": "r.json", "html": "r.html", "markdown": "r.md"}
RUN = (
    *("--ftgate", "-p", "no:cacheprovider", "--color=no", "--junitxml=junit.xml"),
    *(f"--ftgate-{kind}={name}" for kind, name in REPORTS.items()),
)


@dataclass(frozen=True, slots=True)
class Reader:
    """A command that reads hostile files.

    Attributes:
        command: returns the command line for the name of the first file.
        files: returns the files beside the hostile ones, for that name.
    """

    command: Callable[[str], Sequence[str]]
    files: Callable[[str], Mapping[str, Any]] = lambda _: {}


def suite(
    cases: str = "c.jsonl",
    format: str = "choice: [billing, refund]",  # noqa: A002 - the key of the suite
    variant: str = "provider: recorded, replies: r.jsonl",
) -> dict[str, Any]:
    """Return the files of a suite that passes, with other keys where they are given."""
    text = SUITE.format(cases=cases, format=format, variant=variant)
    cases = [{"json": row} for row in ROWS]
    return {"pytest.ini": "[pytest]\n", "s.ftgate.yaml": text, "c.jsonl": cases, "r.jsonl": GOOD}


def labelled(replies: str) -> dict[str, Any]:
    """Return the files of a suite whose variant *replies* to inputs otherwise than its baseline."""
    text = (
        "cases: c.jsonl\ninputs: p.jsonl\nreply: {score: exact}\nvariants:\n"
        "  current: {provider: recorded, replies: r.jsonl}\n"
        f"  new: {{provider: recorded, replies: {replies}}}\n"
        "gates: {accuracy: {max_drop: 0.5}}\n"
    )
    asked = [{"json": {"id": f"p{n}", "input": f"Parcel {n}"}} for n in range(6)]
    said = [{"json": {"id": f"p{n}", "text": "sent"}} for n in range(6)]
    other = [{"json": {"id": f"p{n}", "text": "lost"}} for n in range(6)]
    files = {"s.ftgate.yaml": text, "p.jsonl": asked, "other.jsonl": other}
    return {**suite(), **files, "r.jsonl": [*GOOD, *said]}


def _run(*options: str) -> Callable[[str], Sequence[str]]:
    return lambda _: (*RUN, *options, "s.ftgate.yaml")


_COMPARE = tuple(f"--{kind}={name}" for kind, name in REPORTS.items())
_LOCAL = "provider: llamacpp, max_tokens: 4, model: "
READERS = {
    "suite": Reader(_run(), lambda _: suite()),
    "safe mode": Reader(_run("-vv", "--ftgate-safe", "--ftgate-replies=auto"), lambda _: suite()),
    "cases": Reader(_run(), lambda name: suite(cases=name)),
    "replies": Reader(
        _run("-vv"), lambda name: suite(variant=f"provider: recorded, replies: {name}")
    ),
    "schema": Reader(_run(), lambda name: suite(format=f"json_schema: {name}")),
    "training data": Reader(
        _run(), lambda name: suite(variant=f"provider: classical, training_data: {name}")
    ),
    "weights": Reader(_run(), lambda name: suite(variant=_LOCAL + name)),
    "adapter": Reader(
        _run(), lambda name: suite(variant=f"{_LOCAL}smollm2-135m, adapter: {Path(name).parent}")
    ),
    "adapter file": Reader(
        _run(), lambda name: suite(variant=f"{_LOCAL}smollm2-135m, adapter: {name}")
    ),
    "peft": Reader(
        _run(),
        lambda name: suite(
            variant="provider: transformers, max_tokens: 4, model: ./base, "
            f"adapter: {Path(name).parent}"
        ),
    ),
    "accepted record": Reader(_run(), lambda _: suite()),
    "cache": Reader(
        _run("--ftgate-replies=recorded"),
        lambda _: suite(variant="provider: anthropic, model: claude-haiku-4-5"),
    ),
    "data": Reader(lambda name: ("data", name)),
    "compare": Reader(
        lambda name: ("compare", "good.jsonl", name, *_COMPARE),
        lambda _: {"good.jsonl": [{"json": {**r, "reply": r["expected"]}} for r in ROWS]},
    ),
    "import": Reader(lambda name: ("import", name, "-o", "out.ftgate.yaml")),
    "label": Reader(lambda _: ("label", "s.ftgate.yaml"), labelled),
    "label page": Reader(lambda _: ("label", "s.ftgate.yaml", "--page", "r.html"), labelled),
    "label import": Reader(
        lambda name: ("label", "s.ftgate.yaml", "--import", name), lambda _: labelled("other.jsonl")
    ),
    "report": Reader(lambda name: ("report", name, "--html=r.html", "--markdown=r.md")),
    "cache import": Reader(lambda name: ("cache", "import", name)),
    "cache check": Reader(lambda name: ("cache", "check", "--cache", name)),
}


# What must hold -----------------------------------------------------------------------------------

#: Characters that act on a terminal, or change the order of the others.
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
#: Lines that a build server obeys.
COMMANDS = re.compile(r"^\s*::|##\[|##vso\[", re.MULTILINE)
_TRACEBACK = re.compile(r"Traceback \(most recent|INTERNALERROR|^E   .*\.py:\d+", re.MULTILINE)
#: Tags that our Markdown has outside code.
_OWN_TAGS = ("details", "summary", "br", "sub", "code", "span")


def problems(outcome: Outcome, ended: Ended, folder: Path) -> Iterator[str]:
    """Yield what is wrong with how a command *ended* that read a hostile input in *folder*."""
    words = " ".join(ended.printed.split())
    if ended.code < 0 or ended.code > 5:
        yield f"it ended with {ended.code}"
    if ended.megabytes > MEGABYTES:
        yield f"it took {ended.megabytes} MB"
    if _TRACEBACK.search(ended.printed):
        yield "it shows a traceback"
    if not re.search(outcome.says, words):
        yield f"it does not say {outcome.says!r}"
    if outcome.kind == "refused" and (ended.code == 0 or re.search(r"\bPASSED\b +\d", words)):
        yield "it passes"
    if found := ACTING.search(ended.printed):
        yield f"it prints {found[0]!r}"
    if found := COMMANDS.search(ended.printed):
        yield f"it prints {found[0]!r}"
    # Code of a hostile input writes files of this name.
    if owned := [path.name for path in folder.parent.rglob("owned*")]:
        yield f"it ran code, or wrote {owned}"
    yield from _report_problems(folder)


def _report_problems(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the reports in *folder*, as far as they were written."""
    found = {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.name in _FACES}
    found["output"] = (folder / "printed.txt").read_text("utf-8", "replace")
    for name, text in found.items():
        if told := [value for value in SECRETS.values() if value in text]:
            yield f"{name} tells a secret: {told}"
        try:
            yield from (f"{name}: {problem}" for problem in _FACES[name](text))
        except (ValueError, ET.ParseError) as error:
            yield f"{name} cannot be read: {error}"


def _json_problems(text: str) -> Iterator[str]:
    json.loads(text)
    yield from ()


def _junit_problems(text: str) -> Iterator[str]:
    ET.fromstring(text)
    yield from ()


def _acting(text: str) -> Iterator[str]:
    if found := ACTING.search(text):
        yield f"{found[0]!r} in it"


def _markdown_problems(text: str) -> Iterator[str]:
    fenced = re.sub(r"^ *(`{3,}).*?^ *\1", "", text, flags=re.DOTALL | re.MULTILINE)
    plain = re.sub(r"(`+).+?\1", "", fenced)
    tags = {tag.lower() for tag in re.findall(r"<[/!]?([a-zA-Z]+)", plain)} - {*_OWN_TAGS}
    if tags:
        yield f"raw tags: {', '.join(sorted(tags))}"
    yield from _acting(text)


class _Page(HTMLParser):
    """Collects what acts in a page: scripts, and attributes that are scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.policy, self.acting = "", list[str]()
        self._script: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values.get("content") or ""
        self.acting += [f"{tag} {name}" for name in values if name.startswith("on")]
        self.acting += [
            f"{tag} {name}" for name, value in attrs if (value or "").startswith("javascript:")
        ]
        self.acting += [tag] * (tag in ("iframe", "object", "embed", "base"))
        if tag == "script" and values.get("type") is None:
            self._script = []

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self._script.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._script is not None:
            digest = b64encode(sha256("".join(self._script).encode()).digest()).decode()
            self.acting += ["a script without its digest"] * (digest not in self.policy)
            self._script = None


def _page_problems(text: str) -> Iterator[str]:
    page = _Page()
    page.feed(text)
    if page.acting:
        yield f"in it acts: {', '.join(sorted({*page.acting}))}"
    if not page.policy:
        yield "it has no policy"
    yield from _acting(text)


_FACES: Mapping[str, Callable[[str], Iterator[str]]] = {
    "output": lambda _: iter(()),
    "r.json": _json_problems,
    "r.html": _page_problems,
    "r.md": _markdown_problems,
    "junit.xml": _junit_problems,
}
