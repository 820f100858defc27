"""Toys, which are additions to the package, and the rows of CONTRIBUTING.md that they follow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_ftgate"
#: A code span that is the path of a file or a folder, such as `providers/NAME.py`.
_PATH = re.compile(r"`([\w.]+(?:/[\w.]+)*\.[a-z]+|[\w.]+(?:/[\w.]+)*/)`")


class Toy(NamedTuple):
    """An addition to the package.

    Attributes:
        row: the first cell of its row in CONTRIBUTING.md.
        new: the text of each module that it brings.
        insert: the lines that it inserts into a file, by the start of the line that follows.
        replace: the texts that it replaces in a file, by the text that stands there.
    """

    row: str
    new: Mapping[str, str] = {}
    insert: Mapping[str, Mapping[str, str]] = {}
    replace: Mapping[str, Mapping[str, str]] = {}

    @property
    def files(self) -> set[str]:
        """The files that it changes or brings."""
        return {*self.new, *self.insert, *self.replace}


#: The toys by name, which stands for NAME in the paths of their rows.
TOYS: Mapping[str, Toy] = {
    name: Toy(**toy)
    for name, toy in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8")).items()
}


def add_toy(toy: Toy, package: Path) -> None:
    """Change the copy of the package in *package* as *toy* does."""
    for name, text in toy.new.items():
        assert not (package / name).exists(), name
        (package / name).write_text(text, "utf-8")
    for name, lines in toy.insert.items():
        _edit(package / name, {f"\n{old}": f"\n{line}\n{old}" for old, line in lines.items()})
    for name, texts in toy.replace.items():
        _edit(package / name, texts)


def _edit(path: Path, texts: Mapping[str, str]) -> None:
    code = path.read_text("utf-8")
    for old, new in texts.items():
        assert code.count(old) == 1, (path, old)
        code = code.replace(old, new)
    path.write_text(code, "utf-8")


def rows_of(page: str) -> dict[str, list[str]]:
    """Return the paths that each row of the table "to add X, change Y" in *page* names."""
    section = page.partition("## Where to change what\n")[2].partition("\n## ")[0]
    return dict(_rows(section))


def _rows(section: str) -> Iterator[tuple[str, list[str]]]:
    for line in section.splitlines()[3:]:
        if line.startswith("| "):
            to, change = line.strip("| ").split(" | ")
            yield to, _PATH.findall(change)


def package_files(paths: list[str]) -> set[str]:
    """Return those of *paths* that are modules of the package, with NAME as it is."""
    return {path for path in paths if path.endswith(".py") and (PACKAGE / path).parent.is_dir()}
