"""Label pairs of replies: what is drawn, what has labels, and the file that keeps them."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.gates.disagreements import Disagreements, Draw, draw_pairs, known_truths
from pytest_ftgate.gates.pair_labels import label_quality
from pytest_ftgate.gates.pairs import ShownPair, drawn_pairs, open_pairs
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.results.run import load_verdicts
from pytest_ftgate.runner.compare_files import compare
from pytest_ftgate.runner.inputs import cached_disagreements, file_disagreements
from pytest_ftgate.runner.session import Session
from pytest_ftgate.suite.model import Inputs, Suite, Variant
from pytest_ftgate.suite.pair_labels import PairLabel


class NextLook(NamedTuple):
    """When the gate may decide, by its last verdict.

    Attributes:
        labelled: the number of labelled inputs that the next look takes.
        chance: how surely it passes then if nothing else has changed, 0 to 1.
        last, chance_at_last: the same for the last look.
    """

    labelled: int
    chance: float
    last: int
    chance_at_last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """The pairs that people label, and the labels so far.

    Attributes:
        inputs: the inputs, their instruction and the file of their labels.
        found: on which of them two variants differ.
        draw: those in the order in which they are labelled.
        pairs: all pairs of the draw in their order.
        labels: the labels of the file that count; grows with it.
        next_look: when the gate may decide; None if its last verdict does not tell.
        typed: what the verb was given, as one types it.
        command: what makes a verdict of the labels.
    """

    inputs: Inputs
    found: Disagreements
    draw: Draw
    pairs: tuple[ShownPair, ...]
    labels: list[PairLabel] = field(default_factory=list)
    next_look: NextLook | None
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
    verdicts = (
        one for one in load_verdicts(session.settings.cache.parent) if one.suite == suite.name
    )
    return labelling_of(suite.inputs, found, verdicts, typed, f"pytest --ftgate {typed}")


def file_labelling(
    base: Path, candidate: Path, labels: Path, *, scorer: Any = None, **options: Any
) -> Labelling:
    """Return the labelling of the replies in two files; see `compare` for *scorer* and *options*.

    Raises:
        FtgateError: a file cannot be read, nothing pairs, or every row has an answer.
    """
    files = str(base), str(candidate)
    inputs, found = file_disagreements(*files, labels, scorer=scorer, **options)
    verdicts = compare(*files, labels=labels, scorer=scorer, **options).verdicts
    named = ["--labels", str(labels), *(["--scorer", _written(scorer)] if scorer else [])]
    typed = shlex.join([*files, *named])
    return labelling_of(inputs, found, verdicts, typed, f"pytest-ftgate compare {typed}")


def _written(scorer: Any) -> str:
    return scorer if isinstance(scorer, str) else json.dumps(scorer)


def labelling_of(
    inputs: Inputs, found: Disagreements, verdicts: Iterable[Verdict], typed: str, command: str
) -> Labelling:
    """Return the labelling of what was *found* on *inputs*; see `Labelling`.

    *verdicts* are those of the last run, of these replies or of others.
    """
    # As the gate reads them: those of a judge only if enough of them are examined.
    usable = replace(inputs, labels=label_quality(inputs, found).usable)
    draw = draw_pairs(usable, found)
    return Labelling(
        inputs=inputs,
        found=found,
        draw=draw,
        pairs=drawn_pairs(usable, draw),
        labels=[*usable.labels],
        next_look=_next_look(verdicts, found),
        typed=typed,
        command=command,
    )


def _next_look(verdicts: Iterable[Verdict], found: Disagreements) -> NextLook | None:
    """Return the next look by the verdict that is of these replies."""
    changes = (check.inputs for verdict in verdicts for check in verdict.checks if check.inputs)
    alike = (found.inputs, len(found.differing))
    for one in changes:
        if one.to_label and (one.inputs, one.differing) == alike:
            now = one.known + one.labelled
            return NextLook(now + one.to_label, one.chance, now + one.to_last, one.chance_at_last)
    return None


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
