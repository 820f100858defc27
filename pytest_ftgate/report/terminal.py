"""What the reader of a build sees: what got worse, by how much, how sure we are, what to do."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from pytest_ftgate.gate.parts import Slice
from pytest_ftgate.gate.spent import headline as spent
from pytest_ftgate.gate.verdict import Check, Flip, Outcome, Verdict
from pytest_ftgate.gate.words import percent, points
from pytest_ftgate.report.beside import beside, modest
from pytest_ftgate.report.calls import calls
from pytest_ftgate.report.explain import explain, likely, odds
from pytest_ftgate.report.faults import fault_lines
from pytest_ftgate.report.forgotten import forgotten
from pytest_ftgate.report.judges import judge_lines
from pytest_ftgate.report.passages import passage_lines
from pytest_ftgate.report.quote import quoted, visible
from pytest_ftgate.report.tables import grid, label_rows, slice_rows, verdict_rows
from pytest_ftgate.score.label import LabelRate

__all__ = ["facts_of", "section", "summary"]

_WIDTH = 80
#: How many flips a section shows by verbosity; -vv shows all that the verdict carries.
_FLIPS = {0: 3, 1: 10}
#: The same for labels.
_LABELS = {0: 5, 1: 10}


def section(verdict: Verdict, verbosity: int = 0) -> str:
    """Return the section of one verdict that blocks."""
    lines = [*_wrapped(visible(verdict.headline), 0), *_certainty(verdict)]
    if verdict.gate == "forgetting":
        lines += forgotten(verdict, verbosity)
    else:
        lines += [*_slices(verdict.slices), *_labels(verdict.labels, verbosity)]
    lines += ["", *_other_checks(verdict)] if len(verdict.checks) > 1 else []
    lines += [*fault_lines(verdict, verbosity), *judge_lines(verdict)]
    lines += [line for note in verdict.notes for line in _wrapped(f"note: {visible(note)}")]
    lines += _flips(verdict, verbosity)
    lines += ["", *_next(verdict.next)] if verdict.next else []
    lines += ["", *_why(verdict)]
    return "\n".join(lines)


def _why(verdict: Verdict) -> Iterator[str]:
    """Say how it was judged: last, for whoever asks."""
    for index, sentence in enumerate(explain(verdict)):
        head = "  why:  " if index == 0 else "        "
        yield from textwrap.wrap(sentence, _WIDTH, initial_indent=head, subsequent_indent=" " * 8)


def facts_of(verdict: Verdict) -> list[str]:
    """Return what the record knows of the variant, a fact a line."""
    head = [f"  {verdict.variant} is"] if verdict.facts else []
    return [*head, *(f"    {name}: {visible(str(told))}" for name, told in verdict.facts.items())]


def _slices(slices: Sequence[Slice]) -> list[str]:
    if not slices:
        return []
    head = slices[0].kind if len({one.kind for one in slices}) == 1 else "slice"
    headers = [head, "before", "after", "change", "n", "verdict"]
    return ["", *_indented(grid(slice_rows(slices), headers, right=(1, 2, 4)))]


def _labels(labels: Sequence[LabelRate], verbosity: int) -> list[str]:
    if not labels:
        return []
    shown = labels[: _LABELS.get(max(0, verbosity), len(labels))]
    headers = ["label", "F1 before", "now", "precision", "recall", "n", "taken for"]
    more = [f"  ({len(labels) - len(shown)} more labels: -v, -vv)"] * (len(shown) < len(labels))
    table = _indented(grid(label_rows(shown, 1 + 2 * verbosity), headers, right=(1, 2, 3, 4, 5)))
    return ["", *table, *more]


def _certainty(verdict: Verdict) -> list[str]:
    """Say how sure the verdict is, in words that need no course."""
    check = verdict.check
    if check is None or check.outcome is Outcome.PASSED or check.against == "must_pass":
        return []
    if check.unit != "share":
        return _wrapped(
            f"{check.n} {'cases' if check.unit == 'usd' else 'times'}; {likely(check)}.", 0
        )
    if check.p_fail is None and check.before is not None:
        return _wrapped(
            f"{check.n} cases; with 95 % confidence the true change is "
            f"{points(check.low or 0)} to {points(check.high or 0)} points.",
            0,
        )
    if check.before is None:
        told = f"{check.n} cases; with 95 % confidence the true share is {_span(check)}."
        return _wrapped(told, 0)
    told = f"{check.n} cases: {verdict.lost} lost, {verdict.gained} gained. "
    if check.outcome is Outcome.FAILED or (check.p_fail or 1) <= check.alarm:
        told += f"Without a real drop this would be seen {odds(check.p_fail or 0)}."
    elif check.p_pass is not None:
        told += (
            f"A drop as large as the margin would look like this or better {odds(check.p_pass)}."
        )
    return _wrapped(told, 0)


def _span(check: Check) -> str:
    return f"{(check.low or 0) * 100:.0f} to {(check.high or 0) * 100:.0f} %"


def _other_checks(verdict: Verdict) -> Iterator[str]:
    for index, check in enumerate(verdict.checks):
        if index != verdict.deciding:
            note = f" ({check.note})" if check.note else ""
            yield from _wrapped(f"{_against(check)}: {check.outcome}{note}")


def _against(check: Check) -> str:
    if check.against == "must_pass":
        return f"must-pass cases: {round(check.after * check.n)} of {check.n} are right"
    if check.unit != "share":
        return spent(check)
    if check.before is None:
        return f"against the floor of {percent(check.limit)}: {percent(check.after)}"
    under = f" under the {check.under}" if check.under else ""
    return f"against {check.against}{under}: {percent(check.before)} → {percent(check.after)}"


def _compared(verdict: Verdict) -> bool:
    return any(check.before is not None for check in verdict.checks)


def _flips(verdict: Verdict, verbosity: int) -> list[str]:
    lost = [flip for flip in verdict.flips if flip.lost]
    if not lost:
        return []
    shown = lost[: _most(verdict.gate, lost, max(0, verbosity))]
    head = "passed before, fails now" if _compared(verdict) else "wrong"
    more = "" if len(shown) == len(lost) and verdict.lost == len(lost) else ", -vv shows more"
    lines = ["", f"  {head} ({len(shown)} of {verdict.lost}{more})"]
    return [*lines, *chain.from_iterable(_flip(flip, verbosity) for flip in _varied(shown, lost))]


def _most(gate: str, lost: Sequence[Flip], verbosity: int) -> int:
    """Return how many flips are shown; of a broken form one of each kind, with -v three."""
    most = _FLIPS.get(verbosity, len(lost))
    if gate != "format" or verbosity not in _FLIPS:
        return most
    return min(most, len({flip.fault for flip in lost}) * (1 + 2 * verbosity))


def _varied(shown: Sequence[Flip], lost: Sequence[Flip]) -> list[Flip]:
    """Choose flips from as many skills as can be, so that three examples show three things."""
    by_skill: dict[str, list[Flip]] = defaultdict(list)
    for flip in lost:
        by_skill[flip.skill].append(flip)
    ranked = [flip for _, flip in sorted(_rounds(by_skill.values()), key=lambda one: one[0])]
    return ranked[: len(shown)]


def _rounds(groups: Iterable[list[Flip]]) -> Iterator[tuple[int, Flip]]:
    for group in groups:
        yield from enumerate(group)


def _flip(flip: Flip, verbosity: int) -> Iterator[str]:
    asked = visible(flip.shown).replace("\n", " ")
    room = _WIDTH - 6 - len(flip.case) - 2
    yield f"    {flip.case}  {asked if len(asked) <= room else asked[: room - 1] + '…'}"
    if flip.expected:
        yield from quoted("expected", flip.expected, indent=6, lines=2)
    if flip.before or flip.called_before:
        yield from quoted("before", flip.before, indent=6, lines=3)
    yield from calls(flip.called_before, verbosity)
    yield from quoted("now", flip.now, indent=6, lines=3)
    yield from calls(flip.called, verbosity)
    if flip.why:
        yield from quoted("fault", flip.why, indent=6, lines=2)
    if flip.wrong:
        yield from quoted("wrong", flip.wrong, indent=6, lines=4)
    yield from passage_lines(flip, verbosity)


def _next(steps: Sequence[str]) -> Iterator[str]:
    for index, step in enumerate(steps):
        head = "  next: " if index == 0 else "        "
        # A command must be copied whole, so it stands alone and is not wrapped.
        text, _, command = step.partition(": pytest ")
        yield from textwrap.wrap(
            text + (":" if command else ""), _WIDTH, initial_indent=head, subsequent_indent=" " * 8
        )
        if command:
            yield f"        pytest {command}"


def _wrapped(text: str, indent: int = 2) -> list[str]:
    blank = " " * indent
    lines = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=blank,
        subsequent_indent=f"{blank}  ",
        break_on_hyphens=False,
    )
    # A server's own words may be in it, and "::" at the start of a line is a workflow command.
    return [
        line.replace("::", ": :", 1) if line.lstrip().startswith("::") else line for line in lines
    ]


def _indented(block: str) -> list[str]:
    return [f"  {line}".rstrip() for line in block.split("\n")]


def summary(
    verdicts: Sequence[Verdict],
    asked: str,
    *,
    errors: int = 0,
    lenient: bool = False,
    full: bool = False,
) -> list[str]:
    """Return the lines of the closing section, the verdict first.

    Args:
        verdicts: all that were reached, judged and merely measured.
        asked: one phrase on how many replies were used and asked.
        errors: gates that reached no verdict.
        lenient: inconclusive gates do not block.
        full: print the table though everything passed.
    """
    judged = [verdict for verdict in verdicts if verdict.gated]
    lines = [f"{_first(judged, errors, lenient=lenient)} · {asked}"]
    bad = [v for v in judged if v.outcome is not Outcome.PASSED]
    good = [v for v in judged if v.outcome is Outcome.PASSED]
    if full or bad or errors or len(judged) < len(verdicts):
        lines += _tables(verdicts)
    lines += chain.from_iterable(_open(v) for v in bad if v.outcome is Outcome.INCONCLUSIVE)
    return [*lines, *_aside(good)]


def _tables(verdicts: Sequence[Verdict]) -> list[str]:
    lines: list[str] = []
    by_suite: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_suite[verdict.suite].append(verdict)
    for suite, own in by_suite.items():
        lines += ["", *([f"  {suite}"] if len(by_suite) > 1 else []), *_table(own)]
    return lines


def _table(verdicts: Sequence[Verdict]) -> list[str]:
    headers = ["variant", "gate", "before", "after", "change", "n", "verdict", ""]
    gated = verdict_rows([v for v in verdicts if v.gated])
    lines = _indented(grid(gated, headers, right=(2, 3, 5))) if gated else []
    return [*lines, *(f"  {line}".rstrip() for line in (*beside(verdicts), *modest(verdicts)))]


def _aside(verdicts: Sequence[Verdict]) -> list[str]:
    """Say what a reader should know about gates that passed; what many share is said once."""
    shared: dict[str, list[str]] = defaultdict(list)
    for verdict in verdicts:
        for told in (*verdict.notes, *verdict.next):
            shared[visible(told)].append(f"{verdict.gate}[{verdict.variant}]")
    return [
        line for told, gates in shared.items() for line in _wrapped(f"{', '.join(gates)}: {told}")
    ]


def _first(judged: Sequence[Verdict], errors: int, *, lenient: bool) -> str:
    total = len(judged) + errors
    failed, unsure, invalid = (
        sum(verdict.outcome is outcome for verdict in judged)
        for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.INVALID)
    )
    blocked = errors or failed or invalid or (unsure and not lenient)
    gates = f"{total} gate{'s' * (total != 1)}"
    if not (failed or invalid or unsure or errors):
        return f"PASSED  {gates}"
    told = [
        f"{count} {name}"
        for count, name in (
            (failed, "failed"),
            (invalid, "invalid"),
            (errors, "could not be judged"),
            (unsure, "inconclusive"),
        )
        if count
    ]
    return f"{'BLOCKED' if blocked else 'PASSED'}  {', '.join(told)} of {gates}"


def _open(verdict: Verdict) -> list[str]:
    head = f"{verdict.gate}[{verdict.variant}] cannot tell: {visible(verdict.headline)}"
    notes = [line for note in verdict.notes for line in _wrapped(f"note: {visible(note)}", 4)]
    steps = [line for step in verdict.next for line in _wrapped(step, 4)]
    return ["", *_wrapped(head), *notes, *steps]
