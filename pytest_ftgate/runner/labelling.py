"""Label pairs of replies: on which inputs two sides differ, what is drawn, the file of labels."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.gates.design import LAST_LOOK_MISS
from pytest_ftgate.gates.disagreements import (
    Disagreements,
    Draw,
    draw_pairs,
    find_disagreements,
    known_truths,
)
from pytest_ftgate.gates.kinds import pools_inputs
from pytest_ftgate.gates.pair_labels import label_quality
from pytest_ftgate.gates.pairs import ShownPair, drawn_pairs, open_pairs
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.readers.answers import Answers
from pytest_ftgate.reporting.inputs import LabelPlan, label_plan_text
from pytest_ftgate.results.run import load_verdicts
from pytest_ftgate.runner.compare_files import compare, read_compared
from pytest_ftgate.runner.plan import known_replies
from pytest_ftgate.runner.planner import GateRun, full_look
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.scores import VariantScores, score_replies
from pytest_ftgate.stats.differing import labels_needed
from pytest_ftgate.suite.model import Inputs, Suite, Variant
from pytest_ftgate.suite.pair_labels import PairLabel


def inputs_of(session: Session, suite: Suite) -> Inputs:
    """Return the inputs of *suite*.

    Raises:
        ConfigurationError: it has none.
    """
    if suite.inputs is None:
        raise ConfigurationError(
            f"{session.settings.typed(suite.name)} has no inputs; write inputs: FILE, with what "
            "production was asked"
        )
    return suite.inputs


def cached_disagreements(session: Session, suite: Suite, variant: Variant) -> Disagreements:
    """Return on which inputs the cached replies of *variant* and of the baseline differ.

    Raises:
        ConfigurationError: the suite has no inputs, or the cache lacks the replies.
    """
    inputs, sides = inputs_of(session, suite), (suite.variants[suite.baseline], variant)
    baseline, own = (_cached_scores(session, suite, side) for side in sides)
    found = find_disagreements(inputs, baseline, own)
    if not found.inputs:
        raise ConfigurationError(
            f"{session.settings.cache} has no replies of {suite.baseline} and {variant.name} to "
            f"the inputs; run pytest --ftgate {session.settings.typed(suite.name)} first"
        )
    return found


#: The share of inputs that differ, as long as no reply shows it.
_SUPPOSED_SHARE = 0.05


def label_plan_lines(session: Session, gates: Iterable[GateRun]) -> Iterator[str]:
    """Yield how many labels each gate takes that reads inputs."""
    for run in gates:
        suite, gate = run.gate_suite, run.gate
        if suite.inputs is None or not pools_inputs(suite, gate, run.variant):
            continue
        cases, inputs = len(gate.evaluated_cases(suite.cases)), len(suite.inputs.cases)
        try:
            found = cached_disagreements(session, suite, run.variant)
        except ConfigurationError:
            found = None
        differing = len(found.differing) if found else round(_SUPPOSED_SHARE * inputs)
        limit, alpha = gate.max_drop or 0.0, LAST_LOOK_MISS
        plan = LabelPlan(
            name=f"{gate.name}[{run.variant.name}]",
            inputs=inputs,
            differing=differing,
            needed=labels_needed(cases + inputs, differing, limit, alpha=alpha),
            labelled=_labelled(suite.inputs, found) if found else 0,
            is_known=found is not None,
        )
        yield label_plan_text(plan)


def _labelled(inputs: Inputs, found: Disagreements) -> int:
    draw = draw_pairs(inputs, found)
    truths = known_truths(inputs.labels, inputs.version)
    return len(draw.known) + len(draw.labelled(truths))


def _cached_scores(session: Session, suite: Suite, variant: Variant) -> VariantScores:
    asked = session.built.task(suite.inputs_suite, variant, full_look(suite))
    replies = known_replies(session, variant.name, asked, only_cached=True)
    # Those of a run that was stopped are a part: the other inputs are missing, and no error.
    cached = [one for one in asked if one.fingerprint in replies]
    return score_replies(variant.name, cached, replies, suite.path.parent)


def file_disagreements(
    base: Answers,
    candidate: Answers,
    labels: str | Path,
    *,
    scorer: str | Mapping[str, Any] | None = None,
    by_line: bool = False,
    **columns: Any,
) -> tuple[Inputs, Disagreements]:
    """Return the inputs of two files, and on which of them their replies differ.

    The inputs are the rows without an expected answer and a score. *labels* is their file of
    labels, which need not exist. The other arguments are those of `compare`; *columns* are ``id``,
    ``input``, ``reply``, ``expected`` and ``score``.

    Raises:
        FtgateError: a file cannot be read, nothing pairs, or every row has an answer.
    """
    named = {role: path for role, path in columns.items() if path}
    read = read_compared(
        base, candidate, named=named, scorer=scorer, by_line=by_line, labels=labels
    )
    suite = read.compared.suite
    if suite.inputs is None:
        raise ConfigurationError(
            f"{suite.name}: every row has an expected answer or a score, so nothing is left to "
            "label; compare them without --labels"
        )
    sides = (read.compared.scores(name, suite.inputs_suite) for name in suite.variants)
    return suite.inputs, find_disagreements(suite.inputs, *sides)


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
    typed, inputs = session.settings.typed(suite.name), inputs_of(session, suite)
    found = cached_disagreements(session, suite, _compared(suite, variant))
    verdicts = (
        one for one in load_verdicts(session.settings.cache.parent) if one.suite == suite.name
    )
    return labelling_of(inputs, found, verdicts, typed, f"pytest --ftgate {typed}")


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
