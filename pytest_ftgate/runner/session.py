"""The session: the state of one run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from pytest_ftgate.client.budget import JUDGE_LABEL, CostReport, Exchange, cost_report
from pytest_ftgate.client.results import Result
from pytest_ftgate.errors import EngineError, FtgateError, OutOfBudget
from pytest_ftgate.gates.design import Look
from pytest_ftgate.providers.base import ProviderFactory
from pytest_ftgate.requests.reply import Reply, received
from pytest_ftgate.requests.request import CaseRequest, Request, distinct_requests
from pytest_ftgate.requests.request_groups import Workload
from pytest_ftgate.runner.accepted_records import AcceptedRecords
from pytest_ftgate.runner.gate_requests import Submissions
from pytest_ftgate.runner.planner import BuiltRequests, GateRun, Plan
from pytest_ftgate.runner.probe import Probe
from pytest_ftgate.runner.replies import Replies
from pytest_ftgate.runner.scores import JudgeRunner, ScoreCache
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.model import Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.gates.figures import ReplyTimes
    from pytest_ftgate.gates.identity import IdentityResult

#: The row of the cost report for identity replies, which are not scored.
_IDENTITY = "proofs of identity"

_Requests = tuple[CaseRequest, ...]


class Session:
    """The state of one run: its replies, plans and scores; each is computed once.

    The arguments are those of `Replies`.
    """

    #: True once the session sends no more requests.
    closed = False

    def __init__(
        self,
        settings: Settings,
        run: str,
        plugin_providers: Mapping[str, ProviderFactory],
        order_requests: Callable[[Iterable[Request]], Iterable[Request]] = lambda given: given,
    ) -> None:
        self.settings = settings
        self.replies = Replies(settings, run, plugin_providers, order_requests)
        self.built = BuiltRequests(os.environ)
        self.records = AcceptedRecords(self.replies)
        self.probe = Probe(self.built, self.replies, self.records)
        self.judges = JudgeRunner(self.built, self.replies)
        self.scores = ScoreCache(self.built, self.replies, self.judges)
        self.submissions = Submissions(self.built, self.probe, self.replies)
        #: What replies show about the identity of a variant, by suite, variant and the key of the
        #: requests; "" for the proof that a tuned variant is not its base.
        self.identities: dict[tuple[str, str, str], tuple[IdentityResult, ...]] = {}
        self.suites: list[Suite] = []
        #: Baseline requests repeated for drift checks: the old ones, and their repetitions.
        self.drift_requests: dict[object, tuple[_Requests, _Requests]] = {}

    def close(self) -> None:
        """Send no more requests; replies in flight are still stored in the cache.

        Raises:
            EngineError: an unexpected exception has ended the run.
        """
        self.closed = True
        self.replies.close()
        # Only a run that has scored by JavaScript has imported the module.
        if scored := sys.modules.get("pytest_ftgate.scoring.javascript"):
            scored.end_javascript()

    # Requests -----------------------------------------------------------------------------

    def plan(self, gate_run: GateRun) -> Plan:
        """Return the plan of the variant of *gate_run*, with what is known by now.

        Raises:
            FtgateError: the accepted record is not valid, or the probes cannot be built.
        """
        return self.probe.plan(gate_run.suite, gate_run.variant)

    def groups(self, gate_run: GateRun, look: Look | None = None) -> list[Workload]:
        """Return all requests that the evaluation of *gate_run* needs; see `Plan.groups`."""
        # Without requests nothing must be known of a tuned variant.
        return self.plan(gate_run).groups(gate_run, look) if gate_run.sends_requests else []

    def most(self, gate_run: GateRun) -> list[Workload]:
        """Return all requests that *gate_run* may send; see `Plan.most`."""
        return self.plan(gate_run).most(gate_run) if gate_run.sends_requests else []

    def finish_calls(self) -> None:
        """Wait for the functions that are being called: what a test patches would change them."""
        # Each gate reports an engine that has failed.
        with suppress(EngineError):
            self.replies.wait(self.replies.pending_calls)

    def count_saved_requests(self, gates: Iterable[GateRun]) -> int:
        """Return how many requests were never sent because gates of *gates* stopped early."""
        case_requests: list[CaseRequest] = []
        for gate_run in gates:
            # A gate of an invalid variant is not decided early.
            if not self.is_submitted(gate_run) or (last := gate_run.looks[-1]).cases is None:
                continue
            with suppress(FtgateError):
                case_requests += chain.from_iterable(self.groups(gate_run, last))
        requests = distinct_requests(case_requests)
        return sum(not self.replies.was_submitted(request) for request in requests)

    def is_submitted(self, gate_run: GateRun) -> bool:
        """Return True if the requests of *gate_run* were submitted."""
        return self.submissions.is_submitted(gate_run)

    def submit(self, gates: Iterable[GateRun]) -> None:
        """Submit the requests of all *gates* at once, so that the engine has no idle capacity.

        Of a tuned variant only those that show its identity: `Submissions.submit_proven` submits
        the others. A gate that cannot be planned is skipped: its own setup reports the error.
        """
        gates = list(gates)
        self.probe.ask_first_probes((run.suite, run.variant) for run in gates if run.sends_requests)
        self.submissions.submit(gates)
        self.replies.start_imports()

    # What came ----------------------------------------------------------------------------

    def cost_report(self) -> CostReport:
        """Return the cost of the replies of this process."""
        results, budget = self.replies.arrived, self.replies.budget
        groups = [*self.scores.scored_requests, (JUDGE_LABEL, self.judges.requests)]
        groups += ((_IDENTITY, workload) for workload in self.replies.awaited.values())
        replies = ((name, _exchanges(group, results)) for name, group in groups)
        report = cost_report(float(budget.spent), replies)
        unasked = sum(isinstance(result, OutOfBudget) for result in results.values())
        return replace(report, stopped=budget.stopped, unasked=unasked)

    def submitted_scores(
        self, suite: Suite, variant: Variant, look: Look, *, graded: bool
    ) -> VariantScores | None:
        """Return the scores of the baseline's replies that this run has requested, if any.

        They are shown beside those of *variant*; None if it is the baseline itself.
        """
        baseline = suite.variants[suite.baseline]
        if variant.name == baseline.name:
            return None
        # What is only shown keeps no gate from its verdict.
        with suppress(FtgateError):
            planned = self.built.task(suite, baseline, look)
            found = tuple(one for one in planned if self.replies.was_submitted(one.request))
            if len(found) == len(planned):
                return self.scores.task_scores(suite, baseline, look, graded=graded)
            name = f"shown {len(found)}"
            if found:
                return self.scores.score_requests(suite, baseline.name, name, found, graded=graded)
        return None

    def reply_times(self, variant: str, case_requests: Workload, *, only_for: str) -> ReplyTimes:
        """Return how long the replies took that *variant* gave in this run.

        *only_for* is the test whose own replies they are, or "".
        """
        from pytest_ftgate.gates.figures import reply_times

        results = self.replies.results(case_requests)
        cache = self.replies.open_cache()
        keys = {one.fingerprint: one.request.cache_key for one in case_requests}
        of_this_run = cache.replies(keys.values(), this_run=True)
        fresh = {name: of_this_run[key] for name, key in keys.items() if key in of_this_run}
        if only_for:
            # What the cache does not have was made for the test alone, in this run.
            known = {*cache.replies(keys.values())}
            own = (name for name, key in keys.items() if key not in known)
            fresh |= {name: reply for name in own if isinstance(reply := results[name], Reply)}
        cache.close()
        return reply_times(variant, case_requests, results, fresh)


def _exchanges(
    case_requests: Iterable[CaseRequest], results: Mapping[str, Result]
) -> Iterator[Exchange]:
    pairs = received(case_requests, results)
    return ((case_request.request, reply) for case_request, reply in pairs)
