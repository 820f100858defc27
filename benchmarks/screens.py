"""Write the screens that documents quote from the outputs of regenerate.py.

    python benchmarks/screens.py OUT

A screen is a block of code below a comment: ``<!-- screen: demo, from "BLOCKED" to "wrote" -->``
quotes OUT/demo.txt from the first line that begins with BLOCKED to the next one that begins with
wrote; that line itself is left out. ``<!-- screen: ladder, from "…" to "…" included -->`` keeps it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "docs/*.md", "docs/*/*.md", "examples/*/README.md")
MARK = re.compile(
    r'<!-- screen: (?P<step>[\w-]+), from "(?P<first>[^"]+)" to "(?P<last>[^"]+)"'
    r"(?P<included> included)? -->\n```\n(?P<text>.*?)```\n",
    re.DOTALL,
)


class Screen(NamedTuple):
    """A screen that a document quotes, and which lines of which output it is made of."""

    step: str
    first: str
    last: str
    included: bool
    text: str

    def quoted(self, output: str) -> str:
        """Return the lines of *output* that the screen shows.

        Raises:
            ValueError: *output* has no such lines.
        """
        lines = output.splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith(self.first)]
        ends = [
            number
            for number, line in enumerate(lines)
            if starts and number > starts[0] and line.startswith(self.last)
        ]
        if not ends:
            raise ValueError(f'{self.step}.txt has no lines from "{self.first}" to "{self.last}"')
        return "".join(f"{line}\n" for line in lines[starts[0] : ends[0] + self.included])


def screens(text: str) -> Iterator[tuple[re.Match[str], Screen]]:
    """Yield the screens of a document, each with its place."""
    for match in MARK.finditer(text):
        yield (
            match,
            Screen(
                match["step"], match["first"], match["last"], bool(match["included"]), match["text"]
            ),
        )


def documents() -> Iterator[Path]:
    """Yield the documents that may quote screens."""
    for pattern in DOCUMENTS:
        yield from sorted(ROOT.glob(pattern))


def main(out: Path) -> int:
    """Write all screens; return 1 if one of them is in no output."""
    failed = 0
    for path in documents():
        text = written = path.read_text("utf-8")
        for match, screen in screens(text):
            output = out / f"{screen.step}.txt"
            if not output.exists():
                continue
            try:
                quoted = screen.quoted(output.read_text("utf-8"))
            except ValueError as error:
                failed = 1
                print(f"{path.relative_to(ROOT)}: {error}")
                continue
            written = written.replace(match[0], match[0].replace(screen.text, quoted))
        if written != text:
            path.write_text(written, "utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return failed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
