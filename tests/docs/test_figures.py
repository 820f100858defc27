"""The figures of the documents are those that commands of the repository printed."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]


def loaded(path):
    """Import a script by its path: benchmarks are no package."""
    spec = spec_from_file_location("benchmarks_run", path)
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sys.path.append(str(ROOT / "benchmarks"))
RUN = loaded(ROOT / "benchmarks" / "run.py")
PAGES = [*RUN.documents()]
SHOWN = dict(chain.from_iterable(RUN.shown(page).items() for page in PAGES))
QUOTED = [passage for page in PAGES for passage in RUN.quoted(page)]
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
#: The most printed lines that a row of a table sums up.
LINES_OF_A_ROW = 8
MENTIONED = re.compile(r"(benchmarks/\w+\.py)")


def test_the_documents_show_what_the_commands_printed():
    kept = RUN.kept()

    assert {name: RUN.block(kept[name]) for name in SHOWN} == SHOWN


def test_each_number_that_a_document_quotes_is_one_that_the_command_printed():
    found = [(name, passage, not_printed(name, passage)) for name, passage in QUOTED]

    assert found == [(name, passage, []) for name, passage in QUOTED]


def not_printed(name, passage):
    """Return the rows of a passage, or the passage, whose numbers the command did not print."""
    printed = [*map(numbers_of, RUN.kept()[name]["printed"])]
    rows = [line for line in passage.splitlines() if re.search(r"\|.*\d", line)]
    # The numbers of a row stand in lines that follow each other, those of a sentence anywhere.
    near = LINES_OF_A_ROW if rows else len(printed)
    parts = [[*chain.from_iterable(printed[start : start + near])] for start in range(len(printed))]

    return [
        row
        for row in rows or [passage]
        if not any(all(is_among(n, part) for n in NUMBER.findall(row)) for part in parts)
    ]


def numbers_of(line):
    return [float(number.replace(",", "")) for number in NUMBER.findall(line)]


def is_among(number, printed):
    """Return True if *number*, as it is written, is one of *printed*, rounded."""
    digits = len(number.partition(".")[2])
    wanted = f"{float(number.replace(',', '')):.{digits}f}"
    return wanted in {f"{value:.{digits}f}" for value in printed}


def test_each_figure_that_is_kept_is_shown_or_quoted():
    assert RUN.kept().keys() == RUN.used()


def test_the_picture_of_the_growth_is_drawn_from_its_figure():
    drawn = RUN.growth_picture.picture(RUN.kept()["growth"]["printed"])

    assert (ROOT / "docs" / "pictures" / "growth.svg").read_text("utf-8") == drawn


def test_a_figure_is_kept_for_the_command_that_measures_it():
    commands = {figure.name: f"python {figure.command}" for figure in RUN.FIGURES}

    assert {name: found["command"] for name, found in RUN.kept().items()} == {
        name: commands[name] for name in RUN.kept()
    }


def test_every_benchmark_that_a_document_names_is_there():
    named = {path for page in PAGES for path in MENTIONED.findall(page.read_text("utf-8"))}

    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []
