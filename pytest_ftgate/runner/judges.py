"""Asks judges during a run, about replies and about labelled replies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from pytest_ftgate.client.results import Answer
from pytest_ftgate.errors import Unavailable
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.requests.judges import Bench, Matter, Put
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Ask
from pytest_ftgate.runner.workloads import Asks
from pytest_ftgate.scoring.score import RIGHT, WRONG, Mark
from pytest_ftgate.scoring.scorers import spoilt
from pytest_ftgate.suite.model import Judge, Label, Suite

if TYPE_CHECKING:
    from pytest_ftgate.gates.verdict import Examined
    from pytest_ftgate.scoring.judges import Ruling
    from pytest_ftgate.scoring.scores import Column

__all__ = ["Hear", "Hearings", "Wait", "labels_on", "matter", "padded"]

#: Brings what became of asks, by fingerprint.
Wait = Callable[[Sequence[Ask]], Mapping[str, Answer]]
#: The same for judges, of the suite that is named.
Hear = Callable[[Sequence[Ask], str], Mapping[str, Answer]]

#: So many labelled replies are put to a judge once more, said twice.
_PADDED = 10
_HALF = Mark(0.5, "neither reply is whole")
_TIE = Mark(0.5)

_Asks = tuple[Ask, ...]


class Hearings:
    """Asks the judges of suites, and remembers what they are worth.

    Args:
        asks: what variants are asked.
        environ: where addresses are read.
        waited: brings what variants answered.
        heard: brings what judges answered; it raises where too little came.
    """

    def __init__(self, asks: Asks, environ: Mapping[str, str], waited: Wait, heard: Hear) -> None:
        self._asks, self._environ, self._waited, self._heard = asks, environ, waited, heard
        self._benches: dict[str, tuple[Bench, ...]] = {}
        self._examined: dict[str, tuple[Examined, ...]] = {}
        #: All that judges were asked.
        self.asked: list[Ask] = []

    def benches(self, suite: Suite) -> tuple[Bench, ...]:
        """Return what puts replies to each judge of *suite*.

        Raises:
            Unavailable: weights, an address or a function of a judge are not here.
        """
        if suite.name not in self._benches:
            made = tuple(Bench(suite, judge, self._environ) for judge in suite.judges)
            self._benches[suite.name] = made
        return self._benches[suite.name]

    # Replies of a run ----------------------------------------------------------------------

    def puts(
        self,
        suite: Suite,
        asks: _Asks,
        answers: Mapping[str, Answer],
        theirs: Mapping[str, Answer],
    ) -> Iterator[tuple[Bench, str, Mark | Sequence[Put]]]:
        """Yield for each judge and reply what is put to it, or the mark that needs no judge.

        Args:
            suite: whose judges they are.
            asks: what a variant was asked.
            answers: what it answered.
            theirs: what the baseline answered, for judges that compare.
        """
        for bench in self.benches(suite):
            judge = bench.judge
            others = _by_place(self.compared(suite, asks), theirs) if judge.compares else {}
            for ask in asks:
                reply = answers.get(ask.call.fingerprint)
                if isinstance(reply, Reply) and _graded_by(judge, ask):
                    yield bench, ask.call.fingerprint, _put(bench, ask, reply, others)

    def compared(self, suite: Suite, asks: _Asks) -> _Asks:
        """Return what the baseline was asked in place of *asks*, where a judge compares."""
        if not any(judge.compares for judge in suite.judges):
            return ()
        cases = frozenset(ask.case.id for ask in asks)
        repeats = 1 + max((ask.repeat for ask in asks), default=0)
        baseline = suite.variants[suite.baseline]
        return self._asks.task(suite, baseline, Look(cases=cases, repeats=repeats))

    def ruled(
        self, suite: Suite, asks: _Asks, answers: Mapping[str, Answer]
    ) -> dict[str, dict[int, Mark]]:
        """Return for each call's fingerprint what the judges of *suite* say of its reply.

        Raises:
            RepliesMissing: too little came of a judge, or it cannot be asked.
            Unavailable: a judge is not the model that it is declared to be.
        """
        if not suite.judges:
            return {}
        from pytest_ftgate.scoring.judges import ruling

        theirs = self.compared(suite, asks)
        put = [*self.puts(suite, asks, answers, self._waited(theirs) if theirs else {})]
        heard = self._hear(suite, (what for _, _, what in put if not isinstance(what, Mark)))
        marks: dict[str, dict[int, Mark]] = defaultdict(dict)
        for bench, name, what in put:
            told = what if isinstance(what, Mark) else ruling(bench.judge, what, heard).mark
            marks[name][id(bench.judge.rule)] = told
        return marks

    def _hear(self, suite: Suite, puts: Iterable[Sequence[Put]]) -> Mapping[str, Answer]:
        """Ask judges, and hold the models that answered against the declared ones."""
        from pytest_ftgate.gates.identity import served_model
        from pytest_ftgate.gates.verdict import Outcome

        asks = tuple(put.ask for put in chain.from_iterable(puts))
        self.asked += asks
        heard = self._heard(asks, suite.name)
        by_model: dict[tuple[str, str], list[Ask]] = defaultdict(list)
        for ask in asks:
            by_model[ask.call.provider, ask.call.model].append(ask)
        for some in by_model.values():
            claim = served_model(some, heard)
            if claim.outcome is Outcome.INVALID:
                raise Unavailable(f"the judge is not what it claims: {claim.sentence}")
        return heard

    # Labelled replies -----------------------------------------------------------------------

    def examination(self, suite: Suite) -> list[tuple[Bench, list[Label], list[Label]]]:
        """Return for each judge the labels that it is asked about, and those it is asked padded."""
        return [
            (bench, [*bench.judge.labels], [*padded(bench.judge)]) for bench in self.benches(suite)
        ]

    def examined(self, suite: Suite) -> tuple[Examined, ...]:
        """Return what the judges of *suite* are worth, by what people said of the same replies."""
        if suite.name not in self._examined:
            from pytest_ftgate.gates.judges import examine

            made = []
            for bench, labels, longer in self.examination(suite):
                plain = {id(one): bench.puts(matter(one)) for one in labels}
                twice = {id(one): bench.puts(matter(one, times=2)) for one in longer}
                heard = self._hear(suite, [*plain.values(), *twice.values()]) if labels else {}
                made.append(examine(bench.judge, *_rated(bench.judge, labels, plain, twice, heard)))
            self._examined[suite.name] = tuple(made)
        return self._examined[suite.name]


def _rated(
    judge: Judge,
    labels: Sequence[Label],
    plain: Mapping[int, Sequence[Put]],
    twice: Mapping[int, Sequence[Put]],
    heard: Mapping[str, Answer],
) -> tuple[list[tuple[Label, Ruling]], list[tuple[Ruling, Ruling]]]:
    from pytest_ftgate.scoring.judges import ruling

    said = {key: ruling(judge, puts, heard) for key, puts in plain.items()}
    again = {key: ruling(judge, puts, heard) for key, puts in twice.items()}
    return (
        [(one, said[id(one)]) for one in labels],
        [(said[key], one) for key, one in again.items()],
    )


def matter(label: Label, times: int = 1) -> Matter:
    """Return what is put to a judge of a labelled reply; *times* says how often it is said."""
    return Matter(label.case, "\n\n".join([label.reply] * times), label.other)


def padded(judge: Judge) -> Iterator[Label]:
    """Yield the labelled replies that are put once more, said twice: bad ones, spread evenly.

    To say the same again adds nothing, so it must not make a bad reply better.
    """
    bad = [one for one in judge.labels if judge.grades[one.grade] == 0.0]
    if judge.compares or not bad:
        return
    count = min(_PADDED, len(bad))
    yield from (bad[index * len(bad) // count] for index in range(count))


def _graded_by(judge: Judge, ask: Ask) -> bool:
    return any(part is judge.rule for part in ask.case.score.parts)


def _by_place(theirs: _Asks, answers: Mapping[str, Answer]) -> Mapping[str, Mapping[int, Reply]]:
    """Return the baseline's replies by case and repeat."""
    found: dict[str, dict[int, Reply]] = defaultdict(dict)
    for ask in theirs:
        reply = answers.get(ask.call.fingerprint)
        if isinstance(reply, Reply):
            found[ask.case.id][ask.repeat] = reply
    return found


def _put(
    bench: Bench, ask: Ask, reply: Reply, others: Mapping[str, Mapping[int, Reply]]
) -> Mark | Sequence[Put]:
    """Return what is put to the judge of one reply, or what it is worth without any."""
    spoilt_here = spoilt(reply, ask.case)
    if not bench.judge.compares:
        return WRONG if spoilt_here else bench.puts(Matter(ask.case, reply.text))
    theirs = others.get(ask.case.id, {})
    # One that is asked more often than the baseline meets its first reply again.
    other = theirs.get(ask.repeat) or next(iter(theirs.values()), None)
    if other is None:
        return Mark(None, "the baseline brought no reply to compare with")
    if spoilt_here or spoilt(other, ask.case):
        both = spoilt_here and spoilt(other, ask.case)
        return _HALF if both else (WRONG if spoilt_here else RIGHT)
    # What is the same is as good; a judge could only prefer a place.
    if reply.text.strip() == other.text.strip():
        return _TIE
    return bench.puts(Matter(ask.case, reply.text, other.text))


def labels_on(
    suite: Suite, column: Column, baseline: Column | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what people said of the replies of *column*, and of those of *baseline*, by case.

    Args:
        suite: whose labels they are.
        column: of a variant.
        baseline: of the baseline, or None where there is nothing to compare with.
    """
    (judge,) = suite.judges
    worth = {
        (one.case.id, one.reply.strip(), (one.other or "").strip()): judge.grades[one.grade]
        for one in judge.labels
    }
    if judge.compares:
        found = _said_of_both(worth, column, baseline) if baseline else {}
        return found, {key: 1.0 - value for key, value in found.items()}
    return _said(worth, column), _said(worth, baseline) if baseline else {}


_Worth = Mapping[tuple[str, str, str], float]


def _said(worth: _Worth, column: Column) -> dict[str, float]:
    """Return what people said of the cases all of whose replies they labelled."""
    found = {}
    for key, row in column.rows.items():
        told = [worth.get((key, reply.text.strip(), "")) for reply in row.replies]
        known = [one for one in told if one is not None]
        if known and len(known) == len(told):
            found[key] = sum(known) / len(known)
    return found


def _said_of_both(worth: _Worth, column: Column, baseline: Column) -> dict[str, float]:
    found = {}
    for key, row in column.rows.items():
        other = baseline.rows.get(key)
        if not other or len(row.replies) != 1 or len(other.replies) != 1:
            continue
        pair = (row.replies[0].text.strip(), other.replies[0].text.strip())
        if (key, *pair) in worth:
            found[key] = worth[key, pair[0], pair[1]]
        elif (key, *pair[::-1]) in worth:
            found[key] = 1.0 - worth[key, pair[1], pair[0]]
    return found
