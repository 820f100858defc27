"""Which charts the page shows, and their description in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.gates.units import counted, ms, percent, usd
from pytest_ftgate.gates.verdict import Slice, Verdict
from pytest_ftgate.reporting.html import plots
from pytest_ftgate.reporting.html.plots import Dot, Picture
from pytest_ftgate.reporting.tables import around
from pytest_ftgate.reporting.text import visible
from pytest_ftgate.reporting.verdict import SKILL_HEADERS, skill_rows
from pytest_ftgate.results.run import CaseRun, Rate, Report, SuiteRun, VariantRun

__all__ = ["cost", "faults", "forgetting", "history", "latency", "variants"]

_KINDS = {"accuracy": "Accuracy", "format": "Replies in the right format"}


def _rate(variant: VariantRun, kind: str) -> Rate | None:
    return variant.accuracy if kind == "accuracy" else variant.form


def variants(report: Report) -> Iterator[Picture]:
    """Yield the rates of all variants side by side, against margin and floor."""
    for number, suite in enumerate(report.suites):
        for kind, title in _KINDS.items():
            rated = [(one, rate) for one in suite.variants if (rate := _rate(one, kind))]
            if rated:
                yield _rates(report, suite, kind, title, rated, f"rates-{number}-{kind}")


def _rates(
    report: Report,
    suite: SuiteRun,
    kind: str,
    title: str,
    rated: Sequence[tuple[VariantRun, Rate]],
    name: str,
) -> Picture:
    rows = [
        Dot(
            visible(one.name),
            rate.value,
            rate.low,
            rate.high,
            colour="blue" if one.gated else "muted",
        )
        for one, rate in rated
    ]
    floor, drop = _limits(report, suite, kind)
    before = next((rate.value for one, rate in rated if one.name == suite.baseline), None)
    margin = None if drop is None or not before else before - drop
    told = f"{title} of {counted(len(rows), 'variant')} with 95 % intervals"
    caption = f"Dots are rates, lines their 95 % intervals; grey is not gated. {suite.name}"
    return Picture(
        title=title,
        caption=caption,
        svg=plots.dots(name, told, rows, floor=floor, margin=margin),
        headers=["variant", "rate", "95 % interval", "cases"],
        rows=[
            [one.name, percent(rate.value), around(rate.low, rate.high), f"{rate.n:,}"]
            for one, rate in rated
        ],
    )


def _limits(report: Report, suite: SuiteRun, kind: str) -> tuple[float | None, float | None]:
    """Return the floor of a gate, and the drop that it allows."""
    checks = [
        check
        for one in report.judged
        if one.suite == suite.name and one.gate == kind
        for check in one.checks
        if check.unit == "share"
    ]
    floors = (check.limit for check in checks if check.against == "floor")
    drops = (check.limit for check in checks if check.against == suite.baseline)
    return next(floors, None), next(drops, None)


def forgetting(report: Report) -> Iterator[Picture]:
    """Yield what became of each skill of a fine-tuned variant, under each prompt it was asked."""
    for number, one in enumerate(report.judged):
        unders = {part.under: None for part in one.slices if one.gate == "forgetting"}
        for under in unders:
            skills = [p for p in one.slices if p.kind == "skill" and p.under == under]
            yield from [_skills(f"skills-{number}{under}", one, skills, under)] if skills else []


def _skills(name: str, verdict: Verdict, skills: Sequence[Slice], under: str) -> Picture:
    rows = [
        Dot(part.name, part.after, before=part.before, colour=_colour(part.state))
        for part in skills
    ]
    said = f"{visible(verdict.variant)}{f' under its {under}' if under else ''}"
    return Picture(
        title=f"General skills of {said}",
        caption=f"{visible(verdict.headline)}. Orange is lost, green is kept, grey cannot be told.",
        svg=plots.pairs(
            name,
            f"{len(rows)} skills of {said} before and after fine-tuning",
            rows,
            "○ base   ● fine-tuned",
        ),
        headers=[*SKILL_HEADERS],
        rows=skill_rows(skills),
    )


def _colour(state: str) -> str:
    return {"lost": "red", "kept": "green"}.get(state, "muted")


def faults(report: Report) -> Iterator[Picture]:
    """Yield how often replies break their form, before and now."""
    for number, one in enumerate(report.judged):
        if one.gate != "format" or not any(share.after or share.before for share in one.faults):
            continue
        rows = [
            Dot(
                share.kind, share.after, share.low, share.high, before=share.before,
                colour="red" if share.after > (share.before or 0.0) else "green",
            )
            for share in one.faults
        ]  # fmt: skip
        yield Picture(
            title=f"How {visible(one.variant)} breaks its form",
            caption=f"Share of the replies with each kind of fault. {visible(one.suite)}",
            svg=plots.pairs(f"faults-{number}", f"Form faults of {one.variant}", rows),
            headers=["fault", "before", "now", "95 % interval", "replies"],
            rows=[
                [
                    share.kind,
                    "" if share.before is None else percent(share.before),
                    percent(share.after),
                    around(share.low, share.high),
                    f"{share.replies:,}",
                ]
                for share in one.faults
            ],
        )


def cost(report: Report) -> Iterator[Picture]:
    """Yield accuracy against what it costs: money where prices are known, else tokens."""
    for number, suite in enumerate(report.suites):
        rated = [one for one in suite.variants if one.accuracy]
        money = all(one.usd_per_1k is not None for one in rated)
        known = [(one, one.usd_per_1k if money else one.tokens) for one in rated]
        told = [(v, cost, v.accuracy) for v, cost in known if cost is not None and v.accuracy]
        if len(told) < 2:  # noqa: PLR2004 - one point is no comparison
            continue
        rows = [
            Dot(visible(one.name), rate.value, rate.low, rate.high, before=cost)
            for one, cost, rate in told
        ]
        best = [row.name for row in rows if not any(_beats(other, row) for other in rows)]
        label = "USD for a thousand calls" if money else "tokens of a call, in and out"
        why = "" if money else " Not every price is known, so tokens stand for money."
        yield Picture(
            title="Accuracy against cost",
            caption=f"Nothing is both cheaper and better than what lies on the dashed line.{why}",
            svg=plots.points(f"cost-{number}", f"Accuracy against {label}", rows, label, best),
            headers=["variant", label, "accuracy", "on the frontier"],
            rows=[
                [
                    one.name,
                    usd(cost) if money else f"{cost:,.0f}",
                    percent(rate.value),
                    "yes" if visible(one.name) in best else "no",
                ]
                for one, cost, rate in told
            ],
        )


def _beats(other: Dot, row: Dot) -> bool:
    mine, theirs = (row.before or 0.0, row.value), (other.before or 0.0, other.value)
    return theirs[0] <= mine[0] and theirs[1] >= mine[1] and theirs != mine


def latency(report: Report) -> Iterator[Picture]:
    """Yield how long replies took."""
    for number, suite in enumerate(report.suites):
        times = [(one, _times(suite.cases, one.name)) for one in suite.variants]
        rows = [(visible(one.name), own) for one, own in times if own]
        if not rows:
            continue
        told = "Milliseconds that replies took, by variant"
        yield Picture(
            title="How long replies took",
            caption="The line runs from 5 to 95 in 100 replies, the bar holds the middle half, "
            "the mark is the median; as the ledger has them, whenever they were asked.",
            svg=plots.spreads(f"latency-{number}", told, rows, "milliseconds"),
            headers=["variant", "half within", "95 in 100 within", "replies"],
            rows=[
                [one.name, ms(one.p50_ms or 0), ms(one.p95_ms or 0), f"{len(own):,}"]
                for one, own in times
                if own
            ],
        )


def _times(cases: Sequence[CaseRun], variant: str) -> list[float]:
    own = (case.answers[variant] for case in cases if variant in case.answers)
    return [1000 * one.seconds for one in own if one.seconds]


def history(report: Report) -> Iterator[Picture]:
    """Yield how accepted records have come along."""
    for number, suite in enumerate(report.suites):
        past = suite.history
        names = list(dict.fromkeys(name for one in past for name in one.accuracy))
        if len(past) < 2 or not names:  # noqa: PLR2004 - one record has no history
            continue
        series = [(visible(n), [one.accuracy.get(n) for one in past]) for n in names]
        at = [one.at[:10] for one in past]
        yield Picture(
            title="Accepted accuracy over time",
            caption=f"{counted(len(past), 'accepted record')} from git. {suite.name}",
            svg=plots.lines(f"history-{number}", "Accepted accuracy by commit", series, at),
            headers=["date", "commit", "subject", *names],
            rows=[
                [
                    *(one.at[:10], one.commit, one.subject),
                    *(percent(one.accuracy[n]) if n in one.accuracy else "" for n in names),
                ]
                for one in reversed(past)
            ],
        )
