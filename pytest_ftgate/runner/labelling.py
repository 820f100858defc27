"""Label pairs of replies: what is drawn, what has labels, and the file that keeps them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.gates.disagreements import Disagreements, Draw, draw_pairs, known_truths
from pytest_ftgate.gates.pairs import ShownPair, drawn_pairs, open_pairs
from pytest_ftgate.runner.inputs import cached_disagreements
from pytest_ftgate.runner.session import Session
from pytest_ftgate.suite.model import Inputs, Suite, Variant
from pytest_ftgate.suite.pair_labels import PairLabel


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """The pairs that people label, and the labels so far.

    Attributes:
        inputs: the inputs, their instruction and the file of their labels.
        found: on which of them two variants differ.
        draw: those in the order in which they are labelled.
        pairs: all pairs of the draw in their order.
        labels: the labels of the file; grows with it.
        typed: what the verb was given, as one types it.
        command: what makes a verdict of the labels.
    """

    inputs: Inputs
    found: Disagreements
    draw: Draw
    pairs: tuple[ShownPair, ...]
    labels: list[PairLabel] = field(default_factory=list)
    typed: str
    command: str

    def open(self, by: str, *, second: bool = False) -> Iterator[ShownPair]:
        """Yield the pairs that *by* is to label next; see `open_pairs`."""
        return open_pairs(self.pairs, self.labels, by, second=second)

    def next_ones(self, by: str, count: int, *, second: bool = False) -> list[ShownPair]:
        """Return *count* pairs that *by* is to label next, and those of them that are repeated."""
        is_open = {pair.id for pair in self.open(by, second=second)}
        first = [pair for pair in self.pairs if pair.id in is_open and not pair.again][:count]
        chosen = {(pair.key, pair.texts) for pair in first}
        return [one for one in self.pairs if one.id in is_open or one.again
                if (one.key, one.texts) in chosen]  # fmt: skip

    @property
    def labelled(self) -> int:
        """The number of inputs that differ and have labels."""
        truths = known_truths(self.labels, self.inputs.version)
        return len(self.draw.known) + len(self.draw.labelled(truths))

    def add(self, labels: Sequence[PairLabel]) -> None:
        """Append *labels* to the file, at once and for good."""
        with _locked(self.inputs.labels_path) as stream:
            stream.seek(0, os.SEEK_END)
            # An editor may have left the last line without its end.
            torn = _is_torn(stream)
            stream.write(b"\n" * torn + "".join(label.line for label in labels).encode())
        self.labels.extend(labels)

    def take_back(self, by: str) -> bool:
        """Remove the last label of *by* in this draw from the file; return False for none."""
        own = [label for label in self.labels if label.by == by and label.draw == self.draw.id]
        if not own:
            return False
        line = own[-1].line.encode()
        with _locked(self.inputs.labels_path) as stream:
            before, found, after = stream.read().rpartition(line)
            if not found:
                return False
            stream.seek(len(before))
            stream.write(after)
            stream.truncate()
        self.labels.remove(own[-1])
        return True


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open *path* while no other process changes it, and keep what was written."""
    path.touch()
    with path.open("r+b") as stream:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _is_torn(stream: BinaryIO) -> bool:
    if not stream.tell():
        return False
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) != b"\n"


def suite_labelling(suite: Suite, session: Session, variant: str) -> Labelling:
    """Return the labelling of the replies of *variant* and of the baseline of *suite*.

    *variant* is "" for the only one that is compared.

    Raises:
        ConfigurationError: the suite has no inputs, no such variant, or the cache no replies.
    """
    typed = session.settings.typed(suite.name)
    if suite.inputs is None:
        raise ConfigurationError(
            f"{typed} has no inputs; write inputs: FILE, with what production was asked"
        )
    found = cached_disagreements(session, suite, _compared(suite, variant))
    return labelling_of(suite.inputs, found, typed, f"pytest --ftgate {typed}")


def labelling_of(inputs: Inputs, found: Disagreements, typed: str, command: str) -> Labelling:
    """Return the labelling of what was *found* on *inputs*."""
    draw = draw_pairs(inputs, found)
    return Labelling(
        inputs=inputs, found=found, draw=draw, pairs=drawn_pairs(inputs, draw),
        labels=[*inputs.labels], typed=typed, command=command,
    )  # fmt: skip


def _compared(suite: Suite, name: str) -> Variant:
    others = [one for key, one in suite.variants.items() if key != suite.baseline and one.compared]
    names = [one.name for one in others]
    if name in names or (not name and len(others) == 1):
        return suite.variants[name or names[0]]
    listed = ", ".join(names)
    if not name:
        problem = f"name one with --variant: {listed}" if names else "it has only a baseline"
        raise ConfigurationError(f"{suite.name} has {len(names)} variants to label; {problem}")
    near = did_you_mean(name, names) or f"; there is {listed}"
    raise ConfigurationError(f'no variant "{name}" is compared with {suite.baseline}{near}')
