"""Toys: the smallest additions to the package, and the rows of CONTRIBUTING.md that they follow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
#: A code span that is the path of a file, such as `providers/NAME.py`.
_PATH = re.compile(r"`([\w.]+(?:/[\w.]+)*\.[a-z]+|[\w.]+(?:/[\w.]+)*/)`")


class Before(NamedTuple):
    """Code that is inserted before *anchor*, which stands in its file once."""

    anchor: str
    code: str


class Instead(NamedTuple):
    """Code that replaces *anchor*, which stands in its file once."""

    anchor: str
    code: str


Edit = Before | Instead


class Toy(NamedTuple):
    """An addition to the package.

    Attributes:
        row: the first cell of its row in CONTRIBUTING.md.
        files: the whole of each new module, and the edits of each that is changed.
        name: what stands for NAME in the paths of the row.
    """

    row: str
    files: Mapping[str, str | tuple[Edit, ...]]
    name: str = ""


def add_toy(toy: Toy, package: Path) -> None:
    """Change the copy of the package in *package* as *toy* does."""
    for name, change in toy.files.items():
        path = package / name
        assert path.exists() != isinstance(change, str), name
        path.write_text(change if isinstance(change, str) else _edited(path, change), "utf-8")


def _edited(path: Path, edits: tuple[Edit, ...]) -> str:
    text = path.read_text("utf-8")
    for edit in edits:
        assert text.count(edit.anchor) == 1, (path, edit.anchor)
        kept = edit.anchor if isinstance(edit, Before) else ""
        text = text.replace(edit.anchor, edit.code + kept)
    return text


def rows_of(page: str) -> dict[str, list[str]]:
    """Return the paths that each row of the table "to change X, change Y" names."""
    section = page.partition("## Where to change what\n")[2].partition("\n## ")[0]
    return dict(_rows(section))


def _rows(section: str) -> Iterator[tuple[str, list[str]]]:
    for line in section.splitlines()[3:]:
        if line.startswith("| "):
            to, change = line.strip("| ").split(" | ")
            yield to, _PATH.findall(change)


def package_files(paths: list[str], name: str = "NAME") -> set[str]:
    """Return those of *paths* that are modules of the package; *name* stands for NAME."""
    package = ROOT / "pytest_ftgate"
    rooms = (path for path in paths if (package / path).parent.is_dir() and path.endswith(".py"))
    return {path.replace("NAME", name) for path in rooms}


PROVIDER = Toy(
    "add a provider",
    {
        "suite/providers.py": (
            Before(
                '    "transformers": ProviderSpec(\n',
                '    "mirror": ProviderSpec(module="mirror", reads=(), prompted=False),\n',
            ),
        ),
        "providers/mirror.py": '''\
"""Answers with the input from its end to its start."""

from pytest_ftgate.providers.base import Provider
from pytest_ftgate.requests.reply import Reply


class Mirror(Provider):
    async def generate(self, request):
        return Reply(text=request.case.input_text[::-1])


open_mirror = Mirror
''',
    },
    name="mirror",
)
TEXT_SCORER = Toy(
    "add a scorer",
    {
        "suite/scorers.py": (
            Before('    "regex": ScoreOptions,', '    "mirrored": ScoreOptions,\n'),
        ),
        "scoring/text_scorers.py": (
            Before(
                '    "exact": _score_exact,\n',
                '    "mirrored": lambda text, right, _: binary_score(text[::-1] in right),\n',
            ),
        ),
    },
)
REPLY_SCORER = Toy(
    "add a scorer",
    {
        "suite/scorers.py": (Before('    "code": _Code,', '    "shouted": ScoreOptions,\n'),),
        "scoring/scorers.py": (
            Before(
                '    "fields": score_fields,\n',
                '    "shouted": lambda text, right, _: binary_score(text.lower() in right),\n',
            ),
        ),
    },
)
READER = Toy(
    "read the files of another tool",
    {
        "readers/ledger.py": '''\
"""Reads what the tool ledger writes."""

from pytest_ftgate.readers.answer_rows import AnswerFile, AnswerRow


def read_ledger(raw, columns):
    entries = (raw.document or {}).get("ledger")
    if entries is None:
        return None
    rows = (AnswerRow(line=1, id=e["no"], expected=e["due"], reply=e["paid"]) for e in entries)
    return AnswerFile(path=raw.path, name=raw.name, tool="toy ledger", rows=tuple(rows))
''',
        "readers/answers.py": (
            Before(
                "from pytest_ftgate.readers.lm_eval import",
                "from pytest_ftgate.readers.ledger import read_ledger\n",
            ),
            Before("    *(read_deepeval,", "    read_ledger,\n"),
        ),
    },
    name="ledger",
)
COLUMN = Toy(
    "add a column to the table of verdicts",
    {
        "reporting/tables.py": (
            Before(
                '    Column("verdict", ',
                '    Column("lost", "lost", lambda verdict: f"lost={verdict.regressed}"),\n',
            ),
        )
    },
)
PHRASE = Toy(
    "reword a part of a verdict, in all reports",
    {"reporting/phrases.py": (Instead('f"limit {unsigned', 'f"ceiling {unsigned'),)},
)
VERB = Toy(
    "add a verb to the command line",
    {
        "cli/main.py": (
            Before(
                '    _Verb("download", ',
                '    _Verb("greet", "greet someone", _call, "cli.greet:greeting", '
                '(("who", {"help": "a name"}),)),\n',
            ),
        ),
        "cli/greet.py": '"""Greets."""\n\n\ndef greeting(who):\n    return f"Hello {who}"\n',
    },
    name="greet",
)
RATE_LIMIT = Toy(
    "change a default limit",
    {"gates/power.py": (Instead("    limit = round_up_to_point(shown)\n", "    limit = 0.37\n"),)},
)
DATA_LIMIT = Toy(
    "change a default limit",
    {"suite/declaration.py": (Instead("min_rows: Count = 200", "min_rows: Count = 77"),)},
)
REPORT_FORMAT = Toy(
    "add a report format",
    {
        "reporting/writers.py": (
            Before(
                '    "json": write_run,\n',
                '    "tally": lambda path, report: '
                'path.write_text(f"{len(report.verdicts)} verdicts"),\n',
            ),
        ),
        "settings.py": (
            Instead('"markdown", "metrics")\n', '"markdown", "metrics", "tally")\n'),
            Before('    _Option("json", ', '    _Option("tally", "Count.", _PATH, ""),\n'),
        ),
        "cli/main.py": (
            Before('        ("--write",\n', '        ("--tally", {"type": Path}),\n'),
            Before('        ("--model-card",\n', '        ("--tally", {"type": Path}),\n'),
        ),
    },
)
TOYS = (
    *(PROVIDER, TEXT_SCORER, REPLY_SCORER, READER, COLUMN, PHRASE, VERB, RATE_LIMIT, DATA_LIMIT),
    REPORT_FORMAT,
)
