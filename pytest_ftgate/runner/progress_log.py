"""The progress of a run: as one line, and as the log of a run that waits for replies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain

from pytest_ftgate.client.budget import Progress
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.number_text import percent, quantity, usd
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest, Request, distinct_requests
from pytest_ftgate.results.builder import duration
from pytest_ftgate.runner.planner import GateRun
from pytest_ftgate.runner.probe import leveled_skills
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.scorers import score_content
from pytest_ftgate.suite.gate_kinds import is_rate
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.providers import provider_spec

#: The cells of the bar.
_BAR = 16


def progress_line(progress: Progress, columns: int, *, bar: bool = True) -> str:
    """Return the progress of the requests as one line, of at most *columns* columns.

    Without *bar*, the line is for a log and begins with the time. What matters least is left out
    first: the requests in flight, the cache, the batches.
    """
    done, total = progress.received + progress.failed, progress.to_send
    share = done / total if total else 0.0
    rest = (total - done) / progress.rate if progress.rate else 0.0
    head = f"{_bar(share)} " if bar else f"[{duration(progress.seconds)}] "
    parts = [
        (0, f"{head} {done:,} of {total:,} requests ({int(100 * share)} %)"),
        (1, f"{progress.failed:,} failed" if progress.failed else ""),
        (5, f"{progress.reused:,} from the cache" if progress.reused else ""),
        (4, f"{progress.batched:,} in batches" if progress.batched else ""),
        (6, f"{progress.in_flight:,} in flight" if progress.in_flight else ""),
        (3, f"{progress.rate:.1f} a second" if progress.rate else ""),
        (2, usd(progress.usd) if progress.usd else ""),
        (1, f"about {duration(rest)} left" if rest else ""),
    ]
    for least in range(6, -1, -1):
        line = " · ".join(text for rank, text in parts if text and rank <= least)
        if len(line) <= columns:
            return line
    return line[:columns]


def _bar(share: float) -> str:
    filled = int(_BAR * share)
    return "█" * filled + "░" * (_BAR - filled)


#: Seconds between two lines about one variant.
_INTERVAL = 20.0
#: Scores that cost no more than a comparison; others would slow the run down.
_QUICK_SCORES = ("exact", "choice", "labels", "contains", "numeric", "tool_call", "recorded")
#: The most models that the first lines name.
_MAX_MODELS = 2
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


class RunLog:
    """Says what a run of *gates* sends, then, while it waits, what each variant came to."""

    def __init__(self, session: Session, gates: Sequence[GateRun]) -> None:
        self._session, self._gates = session, gates
        self._variants: list[_VariantLog] | None = None
        self._has_reply = False
        self._failing, self._failing_at = "", -_INTERVAL
        self._identities: set[tuple[str, str]] = set()

    def first_lines(self, progress: Progress) -> list[str]:
        """Return the suites, what is sent, to which models, and what it costs at most."""
        names = [*dict.fromkeys(run.gate_suite.name for run in self._gates)]
        suites = names[0] if len(names) == 1 else quantity(len(names), "suite")
        variants = {(run.suite.name, run.variant.name) for run in self._gates}
        counts = (
            quantity(len(self._gates), "gate"),
            quantity(len(variants), "variant"),
            quantity(progress.to_send, "request"),
        )
        requests = self._requests_to_send()
        models = [*dict.fromkeys(map(_model_text, requests))]
        more = [f"{len(models) - _MAX_MODELS} more models"] * (len(models) > _MAX_MODELS)
        facts = [*models[:_MAX_MODELS], *more, *_cost_text(requests)]
        below = [*([" · ".join(facts)] if facts else []), _SAFE_TO_STOP]
        return [f"ftgate  {' · '.join([suites, *counts])}", *(f"        {line}" for line in below)]

    def _requests_to_send(self) -> list[Request]:
        """Return the requests of the gates that have no reply yet."""
        groups: list[Sequence[CaseRequest]] = []
        for run in self._gates:
            with suppress(FtgateError):
                # With levels of skills, the base chooses the requests.
                if self._session.is_submitted(run) or not leveled_skills(run.suite):
                    groups += self._session.groups(run)
        results = self._session.replies.engine.results
        requests = distinct_requests(chain.from_iterable(groups))
        return [request for request in requests if request.fingerprint not in results]

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
        for (suite, name, requests), proofs in [*self._session.identities.items()]:
            proof = proofs[0].message if not requests else None
            if proof and (suite, name) not in self._identities:
                self._identities.add((suite, name))
                yield f"{head}{name:<14} {note_text(proof)}"
        if self._variants is None:
            self._variants = [*self._variant_logs()]
        for variant in self._variants:
            variant.take(self._session)
            is_due = progress.seconds - variant.shown_at >= _INTERVAL or not variant.waiting
            if is_due and variant.arrived > variant.shown:
                variant.shown, variant.shown_at = variant.arrived, progress.seconds
                yield head + _variant_text(variant)

    def _variant_logs(self) -> Iterator[_VariantLog]:
        """Yield the log of each variant that has requests to send for the suite's own cases."""
        results = self._session.replies.engine.results
        suites = {run.suite.key: run for run in self._gates if run.planned and is_rate(run.gate)}
        for run in suites.values():
            for variant in run.suite.variants.values():
                requests: Sequence[CaseRequest] = ()
                with suppress(FtgateError):
                    requests = self._session.built.task(run.suite, variant, run.looks[0])
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
    name = str(request.model).rpartition("/")[2]
    if spec.weights:
        from pytest_ftgate.machine import usable_cores

        return f"local model {name} on {quantity(usable_cores(), 'core')}"
    return f"{name} ({request.provider})" if name else f"provider {request.provider}"


def _cost_text(requests: Sequence[Request]) -> list[str]:
    """Return the largest cost of *requests*, if all prices are known."""
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
        return ["no cost"]
    known = sum((cost for cost in costs if cost is not None), Decimal(0))
    return [f"at most {usd(known)}"] if known and not labels - {"local"} else []
