"""The progress of a run: as one line, and as the log of a run that waits for replies."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import chain

from pytest_ftgate.client.budget import Progress
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.design import Look
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.number_text import least_to_most, percent, quantity, usd
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest, Request, distinct_requests
from pytest_ftgate.results.builder import duration
from pytest_ftgate.runner.planner import GateRun, full_look, runs_in_blocks, whole_suites
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.scorers import score_content
from pytest_ftgate.suite.gate_kinds import is_rate
from pytest_ftgate.suite.model import Suite, Variant
from pytest_ftgate.suite.providers import provider_spec

#: The cells of the bar.
_BAR = 16


def progress_line(progress: Progress, columns: int, *, bar: bool = True) -> str:
    """Return the progress of the requests as one line, of at most *columns* columns.

    Without *bar*, the line is for a log and begins with the time. What matters least is left out
    first: the requests in flight, the cache, the batches.
    """
    done, most = progress.received + progress.failed, progress.to_send + progress.possible
    share = done / most if most else 0.0
    head = f"{_bar(share)} " if bar else f"[{duration(progress.seconds)}] "
    is_known = not progress.possible and not progress.has_more
    of_all = f" ({int(100 * share)} %)" * is_known
    parts = [
        (0, f"{head} {done:,} of {_count_text(progress)} requests{of_all}"),
        (1, f"{progress.failed:,} failed" if progress.failed else ""),
        (5, f"{progress.reused:,} from the cache" if progress.reused else ""),
        (4, f"{progress.batched:,} in batches" if progress.batched else ""),
        (6, f"{progress.in_flight:,} in flight" if progress.in_flight else ""),
        (3, f"{progress.rate:.1f} a second" if progress.rate else ""),
        (2, usd(progress.usd) if progress.usd else ""),
        (1, _left_text(progress, progress.to_send - done, most - done)),
    ]
    for least in range(6, -1, -1):
        line = " · ".join(text for rank, text in parts if text and rank <= least)
        if len(line) <= columns:
            return line
    return line[:columns]


def _count_text(progress: Progress) -> str:
    """Return how many requests are sent: a number, a range, or the least."""
    least, most = progress.to_send, progress.to_send + progress.possible
    if progress.has_more:
        return f"at least {least:,}"
    return least_to_most(f"{least:,}", f"{most:,}")


def _left_text(progress: Progress, least: int, most: int) -> str:
    """Return the time in which *least* to *most* further requests are done, or ""."""
    if not progress.rate or not most:
        return ""
    times = [duration(number / progress.rate) for number in (least, most)]
    if progress.has_more:
        return f"at least {times[0]} left" if least else ""
    return f"about {least_to_most(*times)} left"


def _bar(share: float) -> str:
    filled = int(_BAR * share)
    return "█" * filled + "░" * (_BAR - filled)


#: Seconds between two lines about one variant.
_INTERVAL = 20.0
#: Scores that cost no more than a comparison; others would slow the run down.
_QUICK_SCORES = ("exact", "choice", "labels", "contains", "numeric", "tool_call", "recorded")
#: The most models that the first lines name.
_MAX_MODELS = 2
#: What the name of a file of weights has after that of the model.
_WEIGHTS = re.compile(r"(\.[0-9a-f]{8})?(\.Q8_0)?\.gguf$")
_SAFE_TO_STOP = "safe to stop: Ctrl-C keeps every reply, and the same command resumes"


@dataclass(slots=True)
class _VariantLog:
    """The replies of one variant so far.

    Attributes:
        waiting: the requests without a reply, by fingerprint.
        shown: how many replies the last line counted, and when it was written.
    """

    name: str
    suite: Suite
    total: int
    waiting: dict[str, CaseRequest]
    scores: list[float] = field(default_factory=list)
    shown: int = 0
    shown_at: float = 0.0

    @property
    def arrived(self) -> int:
        return self.total - len(self.waiting)

    def take(self, session: Session) -> None:
        """Count and score the replies that have arrived since the last call."""
        results = session.replies.engine.results
        arrived = [key for key in self.waiting if key in results]
        for key in arrived:
            case, reply = self.waiting.pop(key).case, results[key]
            # The gates report a scorer that fails.
            with suppress(FtgateError):
                if isinstance(reply, Reply) and case.score.kind in _QUICK_SCORES:
                    score = score_content(case, reply, case.folder or self.suite.path.parent)
                    self.scores += [] if score.value is None else [score.value]


@dataclass(slots=True)
class _ProofLog:
    """The proof that a tuned variant is not its base, while it is not there.

    Attributes:
        stages: the requests of each stage: to the variant, to its base, and others.
        asked: how many replies of the variant were to be compared when the last line was written.
        compared: how many had come then.
        shown_at: when that was.
    """

    suite: str
    name: str
    stages: Sequence[tuple[Sequence[CaseRequest], ...]]
    asked: int = 0
    compared: int = 0
    shown_at: float = 0.0

    def text(self, session: Session, seconds: float) -> str:
        """Return what the replies show so far, or "" if a line was written not long ago."""
        was_submitted, results = session.replies.was_submitted, session.replies.engine.results
        begun = [stage for stage in self.stages if all(was_submitted(x.request) for x in stage[0])]
        asked = max((len(stage[0]) for stage in begun), default=0)
        pairs = [
            (mine.text.strip(), other.text.strip())
            for pair in zip(*(begun[-1][:2] if begun else ((), ())), strict=False)
            for mine, other in [[results.get(one.fingerprint) for one in pair]]
            if isinstance(mine, Reply) and isinstance(other, Reply)
        ]
        is_due = seconds - self.shown_at >= _INTERVAL and len(pairs) > self.compared
        if asked <= self.asked and not is_due:
            return ""
        self.asked, self.compared, self.shown_at = asked, len(pairs), seconds
        if not pairs:
            return f"identity: {asked} replies are compared with the base's"
        differ = sum(mine != other for mine, other in pairs)
        return f"identity: {differ} of {len(pairs)} differ from the base's ({asked} asked)"


class _Further:
    """The requests of a run, and those that follow the ones which it has submitted.

    Attributes:
        every: all that the run may send, by fingerprint.
    """

    def __init__(self, session: Session, gates: Sequence[GateRun]) -> None:
        self._session, first = session, dict[str, Request]()
        #: Of each gate: what it may send after its first look.
        self._possible: list[tuple[GateRun, dict[str, Request]]] = []
        #: What ungated variants are sent surely, and at most.
        self._sure: dict[str, Request] = {}
        self._ungated: dict[str, Request] = {}
        for run in gates:
            with suppress(FtgateError):
                first |= _live(session.groups(run))
        #: Of each tuned variant, what may show its identity, by suite and variant.
        self._proofs: dict[tuple[str, str], dict[str, Request]] = {}
        for run in gates:
            with suppress(FtgateError):
                plan, last = session.plan(run), run.looks[-1]
                groups = [*session.groups(run, last), *plan.possible(run, last)]
                self._possible.append((run, _live(groups, first)))
                self._proofs[run.variant_key] = _live(plan.proofs(run), first)
        for suite, variant, looks in _measured_last(session, gates):
            with suppress(FtgateError):
                least, most = (session.built.task(suite, variant, look) for look in looks)
                self._sure |= _live([least], first)
                self._ungated |= _live([most], first)
        parts = [*(more for _, more in self._possible), *self._proofs.values(), self._ungated]
        later = {key: one for part in parts for key, one in part.items()}
        self.every = first | later
        is_fresh = session.settings.replies == "fresh"
        self._cached = session.replies.cached_replies(later, this_run=is_fresh).keys()

    def counts(self, gates: Sequence[GateRun]) -> tuple[int, int]:
        """Return how many requests follow surely, and how many more those of *gates* may send."""
        was_submitted, proven = self._session.replies.was_submitted, self._session.identities
        parts = [more for run, more in self._possible if any(run is one for one in gates)]
        parts.append(self._ungated)
        variants = {run.variant_key for run in gates}
        parts += [self._proofs.get(key, {}) for key in variants if (*key, "") not in proven]
        possible = {key: one for part in parts for key, one in part.items()}
        sure, either = (
            sum(key not in self._cached and not was_submitted(one) for key, one in found.items())
            for found in (self._sure, self._sure | possible)
        )
        return sure, either - sure


def _live(
    groups: Iterable[Sequence[CaseRequest]], without: Container[str] = ()
) -> dict[str, Request]:
    """Return the requests of *groups* to send, by fingerprint; those in *without* are left out."""
    requests = distinct_requests(chain.from_iterable(groups))
    live = (one for one in requests if not one.replies)
    return {one.fingerprint: one for one in live if one.fingerprint not in without}


def _measured_last(
    session: Session, gates: Sequence[GateRun]
) -> Iterator[tuple[Suite, Variant, tuple[Look, Look]]]:
    """Yield each suite whose gates all run, with each ungated variant.

    These are asked after the gates, as many cases as these need: the looks are the least and all.
    """
    for suite in (run.suite for run in whole_suites(gates)):
        whole = full_look(suite)
        in_blocks = runs_in_blocks(suite, ladder=session.settings.ladder)
        looks = (in_blocks[0].looks[0] if in_blocks else whole, whole)
        yield from ((suite, one, looks) for one in suite.variants.values() if not one.gated)


class RunLog:
    """Says what a run of *gates* sends, then, while it waits, what each variant came to."""

    def __init__(self, session: Session, gates: Sequence[GateRun]) -> None:
        self._session, self._gates = session, gates
        self._decided: list[GateRun] = []
        self._variants: list[_VariantLog] | None = None
        self._has_reply = False
        self._failing, self._failing_at = "", -_INTERVAL
        self._notices: list[str] = []
        self._identities: set[tuple[str, str]] = set()
        self._proofs: list[_ProofLog] | None = None
        self._further: _Further | None = None

    def decide(self, gate_run: GateRun) -> None:
        """Count no further request of *gate_run*, which has a verdict or an error."""
        self._decided.append(gate_run)

    def complete(self, progress: Progress) -> Progress:
        """Return *progress* with the requests that follow those submitted, surely or perhaps."""
        left = [run for run in self._gates if all(run is not one for one in self._decided)]
        sure, possible = self._following().counts(left)
        has_more = any(run.is_graded or not run.planned for run in left)
        planned = progress.planned + sure
        return replace(progress, planned=planned, possible=possible, has_more=has_more)

    def first_lines(self, progress: Progress) -> list[str]:
        """Return the suites, what is sent, to which models, and what it costs at most."""
        names = [*dict.fromkeys(run.gate_suite.name for run in self._gates)]
        suites = names[0] if len(names) == 1 else quantity(len(names), "suite")
        variants = {(run.suite.name, run.variant.name) for run in self._gates}
        counts = (
            quantity(len(self._gates), "gate"),
            quantity(len(variants), "variant"),
            f"{_count_text(progress)} request{'s' * (progress.to_send + progress.possible != 1)}",
        )
        results = self._session.replies.engine.results
        every = self._following().every.items()
        requests = [request for key, request in every if key not in results]
        models = [*dict.fromkeys(map(_model_text, requests))]
        more = [f"{len(models) - _MAX_MODELS} more models"] * (len(models) > _MAX_MODELS)
        facts = [*models[:_MAX_MODELS], *more, *_cost_text(requests, has_more=progress.has_more)]
        below = [*([" · ".join(facts)] if facts else []), _SAFE_TO_STOP]
        return [f"ftgate  {' · '.join([suites, *counts])}", *(f"        {line}" for line in below)]

    def _following(self) -> _Further:
        if self._further is None:
            self._further = _Further(self._session, self._gates)
        return self._further

    def new_lines(self, progress: Progress) -> Iterator[str]:
        """Yield what became known since the last call, each line with the time of the run."""
        head = f"[{duration(progress.seconds)}]  "
        if progress.received and not self._has_reply:
            self._has_reply = True
            yield f"{head}the first reply is here"
        # The rate counts the last half minute: a server that replies to others needs no line.
        is_stuck = progress.failing and not progress.rate
        is_due = progress.seconds - self._failing_at >= _INTERVAL
        if is_stuck and is_due and progress.failing != self._failing:
            self._failing, self._failing_at = progress.failing, progress.seconds
            yield f"{head}no reply yet, trying again: {progress.failing}"
        new = [text for text in progress.notices if text not in self._notices]
        self._notices += new
        yield from (head + text for text in new)
        yield from (head + line for line in self._identity_lines(progress.seconds))
        if self._variants is None:
            self._variants = [*self._variant_logs()]
        for variant in self._variants:
            variant.take(self._session)
            is_due = progress.seconds - variant.shown_at >= _INTERVAL or not variant.waiting
            if is_due and variant.arrived > variant.shown:
                variant.shown, variant.shown_at = variant.arrived, progress.seconds
                yield head + _variant_text(variant)

    def _identity_lines(self, seconds: float) -> Iterator[str]:
        """Yield what is known of the identity of tuned variants, and of the proof of it."""
        for (suite, name, requests), proofs in [*self._session.identities.items()]:
            proof = proofs[0].message if not requests else None
            if proof and (suite, name) not in self._identities:
                self._identities.add((suite, name))
                yield f"{name:<14} {note_text(proof)}"
        if self._proofs is None:
            self._proofs = [*self._proof_logs()]
        for one in self._proofs:
            if (one.suite, one.name) not in self._identities:
                told = one.text(self._session, seconds)
                yield from [f"{one.name:<14} {told}"] if told else []

    def _proof_logs(self) -> Iterator[_ProofLog]:
        """Yield the log of each tuned variant whose identity the run is to show."""
        runs = {run.variant_key: run for run in self._gates}
        for (suite, name), run in runs.items():
            if run.variant.tuned and not run.variant.is_proven:
                with suppress(FtgateError):
                    yield _ProofLog(suite, name, self._session.plan(run).probe_stages)

    def _variant_logs(self) -> Iterator[_VariantLog]:
        """Yield the log of each variant that has requests to send for the suite's own cases."""
        results = self._session.replies.engine.results
        suites = {run.suite.key: run for run in self._gates if run.planned and is_rate(run.gate)}
        for run in suites.values():
            for variant in run.suite.variants.values():
                requests: Sequence[CaseRequest] = ()
                with suppress(FtgateError):
                    # No gate stops the measurement of an ungated variant.
                    look = run.looks[0] if variant.gated else full_look(run.suite)
                    requests = self._session.built.task(run.suite, variant, look)
                by_key = {request.fingerprint: request for request in requests}
                waiting = {key: one for key, one in by_key.items() if key not in results}
                if waiting:
                    log = _VariantLog(variant.name, run.suite, len(by_key), by_key)
                    log.take(self._session)
                    log.shown = log.arrived
                    yield log


def _variant_text(variant: _VariantLog) -> str:
    count = f"{variant.arrived:,}/{variant.total:,}"
    text = f"{variant.name:<14} {count:>11}"
    if not variant.scores:
        return text
    right = percent(sum(variant.scores) / len(variant.scores))
    return f"{text}   right{' so far' * bool(variant.waiting)} {right}"


def _model_text(request: Request) -> str:
    """Return which model a request goes to, and where that is."""
    spec = provider_spec(request.provider)
    name = _WEIGHTS.sub("", str(request.model).rpartition("/")[2])
    if spec.weights:
        from pytest_ftgate.machine import usable_cores

        return f"local model {name} on {quantity(usable_cores(), 'core')}"
    return f"{name} ({request.provider})" if name else f"provider {request.provider}"


def _cost_text(requests: Sequence[Request], *, has_more: bool) -> list[str]:
    """Return the largest cost of *requests*, if all prices are known.

    With *has_more*, others of unknown cost follow them.
    """
    if not requests:
        return []
    from pytest_ftgate.requests.estimate import expected_cost

    costs = [expected_cost(request, request.max_tokens) for request in requests]
    labels = {
        request.tariff.no_price_label
        for request, cost in zip(requests, costs, strict=True)
        if cost is None
    }
    if labels == {"local"} and all(cost is None for cost in costs):
        return [] if has_more else ["no cost"]
    known = sum((cost for cost in costs if cost is not None), Decimal(0))
    these = " for these" * has_more
    return [f"at most {usd(known)}{these}"] if known and not labels - {"local"} else []
