"""The session: the state of one run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.cache.export import read_replies
from pytest_ftgate.cache.sqlite import CacheEntry
from pytest_ftgate.client.budget import (
    JUDGE_LABEL,
    Budget,
    CostReport,
    Exchange,
    Progress,
    cost_report,
)
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.redaction import redact_text
from pytest_ftgate.client.results import Result, require_recorded, require_replies
from pytest_ftgate.errors import (
    EngineError,
    FtgateError,
    OutOfBudget,
    RepliesMissing,
)
from pytest_ftgate.gates.design import Levels, Look, shared_levels
from pytest_ftgate.providers.base import ProviderFactory
from pytest_ftgate.requests.api_keys import KeyUse, key_use
from pytest_ftgate.requests.reply import Reply, answered, received
from pytest_ftgate.requests.request import (
    CaseRequest,
    Request,
    distinct_requests,
    group_by_adapter,
)
from pytest_ftgate.requests.request_groups import ROOM_TO_THINK, Workload, is_known_to_think
from pytest_ftgate.runner.gate_requests import Submissions
from pytest_ftgate.runner.imports import load_accepted_record, start_imports
from pytest_ftgate.runner.planner import GateRun, Workloads
from pytest_ftgate.runner.provenance import require_untracked
from pytest_ftgate.runner.scores import JudgeRunner, ScoreCache
from pytest_ftgate.runner.skill_levels import accepted_choices, leveled_skills, piloted_choices
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.model import Suite, Variant
from pytest_ftgate.suite.skill_levels import LevelChoice

if TYPE_CHECKING:
    from threading import Thread

    from pytest_ftgate.gates.figures import ReplyTimes
    from pytest_ftgate.gates.identity import IdentityResult
    from pytest_ftgate.results.accepted import AcceptedRecord
    from pytest_ftgate.results.exam import Exam

#: The row of the cost report for identity replies, which are not scored.
_IDENTITY = "proofs of identity"


def _exchanges(
    case_requests: Iterable[CaseRequest], results: Mapping[str, Result]
) -> Iterator[Exchange]:
    pairs = received(case_requests, results)
    return ((case_request.request, reply) for case_request, reply in pairs)


_Requests = tuple[CaseRequest, ...]


class Session:
    """The state of one run: the engine, and all values that are computed once.

    *run* is a name that all processes of the run share. *plugin_providers* are the providers of
    other plugins, by name; a plugin may contribute some to each suite, so that the mapping of the
    caller grows during collection. *order_requests* orders the requests of a plan.
    """

    #: True once the session sends no more requests.
    closed = False
    #: Returns why the function of a request must not be called now, or "".
    call_error: Callable[[Request], str] = staticmethod(lambda _request: "")
    #: The unexpected exception of this class's own contexts, or None.
    _failure: EngineError | None = None

    def __init__(
        self,
        settings: Settings,
        run: str,
        plugin_providers: Mapping[str, ProviderFactory],
        order_requests: Callable[[Iterable[Request]], Iterable[Request]] = lambda given: given,
    ) -> None:
        self.settings, self._run = settings, run
        self._plugin_providers, self._order_requests = plugin_providers, order_requests
        self._engine: Engine | None = None
        #: Imports libraries while the main thread waits for replies.
        self._importing: Thread | None = None
        limits = {"max_usd": settings.max_usd, "max_minutes": settings.max_minutes}
        self._budget = Budget(self._in_flight, time.monotonic, **limits)
        self.workloads = Workloads(os.environ, self._choose_room, self._choose_levels)
        #: What replies show about the identity of a variant, by suite, variant and the key of the
        #: requests; "" for the proof that a tuned variant is not its base.
        self.identities: dict[tuple[str, str, str], tuple[IdentityResult, ...]] = {}
        self.judges = JudgeRunner(self.workloads, os.environ, self.results, self._wait_for_judges)
        self.scores = ScoreCache(self.workloads, self.results, self.judges)
        #: Called with the progress while the session waits for judges.
        self._on_progress: Callable[[Progress], None] | None = None
        self._accepted_records: dict[str, AcceptedRecord | None] = {}
        self._exams: dict[tuple[str, ...], Exam] = {}
        #: Committed replies, by fingerprint; grows during collection.
        self.committed_replies: dict[str, CacheEntry] = {}
        self.suites: list[Suite] = []
        #: Messages of the cache, and about suites, for the user: one sentence each.
        self.user_messages: list[str] = []
        #: Baseline requests repeated for drift checks: the old ones, and their repetitions.
        self.drift_requests: dict[object, tuple[_Requests, _Requests]] = {}
        self._submissions = Submissions(self.workloads, self._submit, self.ask_pilots)
        #: Finished groups of requests, by key.
        self._awaited: dict[str, Workload] = {}
        #: The keys of the groups that have enough replies.
        self._checked: set[str] = set()

    @property
    def progress(self) -> Progress:
        """The progress of the requests, and their cost."""
        progress = self._engine.progress if self._engine else Progress()
        planned = progress.planned + self._submissions.held
        return replace(progress, planned=planned, usd=float(self._budget.spent))

    def _in_flight(self) -> Iterable[Request]:
        return self.engine.in_flight()

    @property
    def stop_reason(self) -> str:
        """Why the budget stopped the run, or ""."""
        return self._budget.stopped

    @property
    def failure(self) -> EngineError | None:
        """The unexpected exception that ended the run, or None."""
        return self._failure or (self._engine.failure if self._engine else None)

    @contextmanager
    def internal_errors(self) -> Iterator[None]:
        """End the run by an exception in this context that is no error of the package.

        Code of the user raises none of these here: its exceptions have become errors of the
        package, which name it.

        Raises:
            EngineError: there is such an exception.
        """
        try:
            yield
        except (FtgateError, EngineError):
            raise
        except Exception as error:
            self._failure = self.failure or EngineError(
                error, partial(redact_text, environ=os.environ)
            )
            raise self._failure from error

    @property
    def pending_batches(self) -> tuple[str, ...]:
        """The batches that a provider still works on after the end of the run."""
        return self._engine.pending_batches if self._engine else ()

    @property
    def engine(self) -> Engine:
        """The engine, started on first use."""
        if self._engine is None:
            self._engine = self._engine_class()(
                self.open_cache(),
                os.environ,
                replies=self.settings.replies,
                concurrency=self.settings.concurrency,
                plugin_providers=self._plugin_providers,
                budget=self._budget,
            )
            self._engine.refusal = self._refusal
        return self._engine

    def _refusal(self, request: Request) -> str:
        """Return why *request* must not be sent, or ""."""
        if self.settings.replies == "recorded":
            # Nothing is sent; a reply that is not recorded is the engine's to report.
            return self._never_recorded(request)
        return self.key_error(key_use(request, os.environ)) or self.call_error(request)

    def _never_recorded(self, request: Request) -> str:
        if not request.only_for or request.cached_as:
            return ""
        test = self.settings.typed(request.only_for.partition("[")[0])
        return (
            f"the replies of {request.function} are never recorded here, since fixtures of the "
            "test may patch it; without --ftgate-replies=recorded, run\n"
            f"    pytest --ftgate {test}"
        )

    def key_error(self, use: KeyUse | None) -> str:
        """Return why the key must not go to its address, or ""."""
        return use.error(self.settings.keys, os.environ, safe=self.settings.safe) if use else ""

    def _engine_class(self) -> type[Engine]:
        if self.settings.engine == "local":
            return Engine
        from pytest_ftgate.client.ray import RayEngine

        return RayEngine

    def open_cache(self) -> Cache:
        """Open the cache.

        Raises:
            CacheError: it cannot be opened, or git tracks it.
        """
        return Cache(
            self._untracked_cache,
            run=self._run,
            clock=time.time,
            recorded=self.settings.replies == "recorded",
            committed_replies=self.committed_replies,
            warn=self.user_messages.append,
        )

    @cached_property
    def _untracked_cache(self) -> Path:
        """The file of the cache; CacheError if git tracks it."""
        settings, warn = self.settings, self.user_messages.append
        safe_root = settings.root if settings.safe else None
        require_untracked(settings.cache, settings.start, safe_root=safe_root, warn=warn)
        return settings.cache

    def use_committed_replies(self, suite: Suite) -> None:
        """Use the replies committed beside *suite* where the cache lacks them.

        Raises:
            SuiteError: the file cannot be read.
        """
        path, folder = suite.replies_path, suite.name.rpartition("/")[0]
        # A variant with the provider `recorded` may use the same file name for its own replies.
        if self.settings.replies != "fresh" and path not in suite.recorded_reply_files:
            name = f"{folder}/{path.name}" if folder else path.name
            self.committed_replies |= read_replies(path, name)

    def close(self) -> None:
        """Send no more requests; replies in flight are still stored in the cache.

        Raises:
            EngineError: an unexpected exception has ended the run.
        """
        self.closed = True
        if self._engine is not None:
            self._engine.close()
        self._finish_imports()
        if self.failure is not None:
            raise self.failure

    def cancel(self) -> None:
        """Let `close` cancel the requests in flight instead of waiting for their replies."""
        if self._engine is not None:
            self._engine.cancel()

    # Requests -----------------------------------------------------------------------------

    @property
    def pending_calls(self) -> list[Request]:
        """The requests to functions of the project that have no result yet."""
        return self._engine.pending_calls if self._engine else []

    def finish_calls(self, on_progress: Callable[[Progress], None] | None) -> None:
        """Wait for the functions that are being called: what a test patches would change them."""
        # Each gate reports an engine that has failed.
        with suppress(EngineError):
            self._wait(self.pending_calls, on_progress)

    def count_saved_requests(self, gates: Iterable[GateRun]) -> int:
        """Return how many requests were never sent because gates of *gates* stopped early."""
        if self._engine is None:
            return 0
        case_requests: list[CaseRequest] = []
        for gate_run in gates:
            last = self.workloads.looks(gate_run)[-1]
            # A gate of an invalid variant is not decided early.
            if last.cases is None or not self.is_submitted(gate_run):
                continue
            with suppress(FtgateError):
                case_requests += chain.from_iterable(self.workloads.gate_requests(gate_run, last))
        requests = distinct_requests(case_requests)
        return sum(not self._engine.was_submitted(request) for request in requests)

    def is_submitted(self, gate_run: GateRun) -> bool:
        """Return True if the requests of *gate_run* were submitted."""
        return self._submissions.is_submitted(gate_run)

    def submit(self, gates: Iterable[GateRun]) -> None:
        """Submit the requests of all *gates* at once, so that the engine has no idle capacity.

        Of a tuned variant only those that show its identity: `submit_proven` submits the others. A
        gate that cannot be planned is skipped: its own setup reports the error.
        """
        gates = list(gates)
        self.ask_first_probes((run.suite, run.variant) for run in gates if run.gate.sends_requests)
        self._submissions.submit(gates)
        if self.engine.progress.to_send:
            self._finish_imports()
            self._importing = start_imports()

    def submit_proven(self, gate_run: GateRun, *, is_valid: bool) -> None:
        """Submit what waits for the proof of a variant's identity, or nothing of it."""
        self._submissions.submit_proven(gate_run, is_valid=is_valid)

    def _submit(self, requests: Iterable[Request], *, first: bool = False) -> None:
        self.engine.submit(self._order_requests(requests), first=first)

    def ask_first_probes(self, variants: Iterable[tuple[Suite, Variant]]) -> None:
        """Wait for the replies that show whether tuned variants think; once for each."""
        groups = list[_Requests]()
        for suite, variant in variants:
            if variant.tuned:
                # The setup of the gate reports the error.
                with suppress(FtgateError):
                    groups += self.workloads.first_probes(suite, variant)
        self.engine.submit(group_by_adapter(distinct_requests(chain.from_iterable(groups))))
        for group in groups:
            self.results(group)

    def ask_pilots(self, variants: Iterable[tuple[Suite, Variant]]) -> None:
        """Wait for the replies by which the bases of tuned variants choose the levels of skills."""
        groups = list[_Requests]()
        for suite, variant in variants:
            # The setup of the gate reports the error.
            with suppress(FtgateError):
                if variant.tuned and leveled_skills(suite):
                    accepted = self._accepted_levels(suite, variant)
                    pilot = () if accepted else self.workloads.pilot_requests(suite, variant)
                    groups.append(pilot)
        self.engine.submit(group_by_adapter(distinct_requests(chain.from_iterable(groups))))
        for group in groups:
            self.results(group)

    def _choose_levels(self, suite: Suite, variant: Variant) -> tuple[LevelChoice, ...]:
        """Return the levels of skills: those of the accepted record, else those of the pilot."""
        accepted = self._accepted_levels(suite, variant)
        if accepted:
            return accepted
        requests = self.workloads.pilot_requests(suite, variant)
        return piloted_choices(suite, requests, self.known_replies(requests))

    def _accepted_levels(self, suite: Suite, variant: Variant) -> tuple[LevelChoice, ...] | None:
        record = None if self.settings.accept else self.accepted_record(suite)
        return (
            accepted_choices(suite, record.skill_levels.get(variant.name, {})) if record else None
        )

    def known_replies(self, case_requests: Iterable[CaseRequest]) -> dict[str, Result]:
        """Return the results of *case_requests* that have arrived or are cached."""
        fingerprints = {case_request.fingerprint for case_request in case_requests}
        arrived = self._engine.results if self._engine else {}
        known = {key: arrived[key] for key in fingerprints & arrived.keys()}
        missing = fingerprints - known.keys()
        return {**known, **self.cached_replies(missing)} if missing else known

    def cached_replies(self, keys: Iterable[str], *, this_run: bool = False) -> dict[str, Reply]:
        """Return the replies that the cache has, by fingerprint; see *Cache.replies*."""
        with closing(self.open_cache()) as cache:
            return cache.replies(keys, this_run=this_run)

    def _choose_room(self, suite: Suite, variant: Variant) -> int:
        """Return the tokens that *variant*, which is tuned, and its base may think in.

        They are those of the accepted record, else a fixed number if the model is known or seen to
        think, else 0.
        """
        record = None if self.settings.accept else self.accepted_record(suite)
        if record and variant.name in record.rooms:
            return record.rooms[variant.name]
        thinks = is_known_to_think(variant) or self._is_seen_to_think(suite, variant)
        return ROOM_TO_THINK if thinks else 0

    def _is_seen_to_think(self, suite: Suite, variant: Variant) -> bool:
        probes = [*chain.from_iterable(self.workloads.first_probes(suite, variant))]
        return any(reply.thinks for _, reply in answered(probes, self.known_replies(probes)))

    def _finish_imports(self) -> None:
        # Two threads that import parts of one library at once may each see half of it.
        if self._importing is not None:
            self._importing.join()

    def checked_results(
        self,
        groups: Sequence[Sequence[CaseRequest]],
        on_progress: Callable[[Progress], None] | None,
        suite: str,
    ) -> Mapping[str, Result]:
        """Wait for *groups* and return all results so far, by fingerprint.

        *groups* has one group for each side of a comparison. Messages name *suite*.

        Raises:
            RepliesMissing: more than half of a group failed, or an error affects all of it; or the
                run must not send requests, and a reply is not cached. Requests that the budget
                stopped count as missing, but not as failed.
        """
        workloads = [Workload.of(group) for group in groups]
        for workload in workloads:
            self.results(workload, on_progress)
        results = self.engine.results
        # Gates of a suite share most groups, and an error is raised for the first gate only.
        new = [group for group in workloads if group.key not in self._checked]
        fingerprints = {case_request.fingerprint for group in new for case_request in group}
        require_recorded(
            [results[fingerprint] for fingerprint in fingerprints], self.settings.typed(suite)
        )
        for group in new:
            require_replies([results[case_request.fingerprint] for case_request in group])
        self._checked.update(group.key for group in new)
        return results

    @contextmanager
    def show_progress(self, on_progress: Callable[[Progress], None] | None) -> Iterator[None]:
        """Call *on_progress* while the session waits for judges in this context."""
        self._on_progress = on_progress
        try:
            yield
        finally:
            self._on_progress = None

    def results(
        self,
        case_requests: Sequence[CaseRequest],
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Mapping[str, Result]:
        """Wait for *case_requests* and return all results, however many failed."""
        workload = Workload.of(case_requests)
        if workload.key not in self._awaited:
            self._awaited[workload.key] = workload
            self._wait([case_request.request for case_request in workload], on_progress)
            self._finish_imports()
        return self.engine.results

    def _wait(
        self, requests: Sequence[Request], on_progress: Callable[[Progress], None] | None
    ) -> None:
        self.engine.wait(requests, on_progress and (lambda _: on_progress(self.progress)))

    def _wait_for_judges(
        self, case_requests: Sequence[CaseRequest], suite: str
    ) -> Mapping[str, Result]:
        """Return the results of judges; too few replies are an error, as for a variant."""
        if not case_requests:
            return {}
        try:
            return self.checked_results([case_requests], self._on_progress, suite)
        except RepliesMissing as error:
            raise RepliesMissing(f"the judge: {error}") from error

    def cost_report(self) -> CostReport:
        """Return the cost of the replies of this process."""
        if self._engine is None:
            return CostReport()
        # A copy: the engine's thread may add results meanwhile.
        results = {**self.engine.results}
        groups = [*self.scores.scored_requests, (JUDGE_LABEL, self.judges.requests)]
        groups += ((_IDENTITY, workload) for workload in self._awaited.values())
        replies = ((name, _exchanges(group, results)) for name, group in groups)
        report = cost_report(float(self._budget.spent), replies)
        unasked = sum(isinstance(result, OutOfBudget) for result in results.values())
        return replace(report, stopped=self._budget.stopped, unasked=unasked)

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
            planned = self.workloads.task_requests(suite, baseline, look)
            found = tuple(one for one in planned if self.engine.was_submitted(one.request))
            if len(found) == len(planned):
                return self.scores.task_scores(suite, baseline, look, graded=graded)
            name = f"shown {len(found)}"
            if found:
                return self.scores.score_requests(suite, baseline, name, found, graded=graded)
        return None

    def reply_times(self, suite: Suite, variant: Variant, look: Look) -> ReplyTimes:
        """Return how long the replies took that *variant* gave in this run."""
        from pytest_ftgate.gates.figures import reply_times

        case_requests = self.workloads.task_requests(suite, variant, look)
        results = self.results(case_requests)
        cache = self.open_cache()
        keys = {one.fingerprint: one.request.cache_key for one in case_requests}
        of_this_run = cache.replies(keys.values(), this_run=True)
        fresh = {name: of_this_run[key] for name, key in keys.items() if key in of_this_run}
        if suite.only_for:
            # What the cache does not have was made for the test alone, in this run.
            known = {*cache.replies(keys.values())}
            own = (name for name, key in keys.items() if key not in known)
            fresh |= {name: reply for name in own if isinstance(reply := results[name], Reply)}
        cache.close()
        return reply_times(variant.name, case_requests, results, fresh)

    def accepted_record(self, suite: Suite) -> AcceptedRecord | None:
        """Return the accepted record beside *suite*, or None without one.

        Raises:
            SuiteError: the file is not a valid record.
        """
        if suite.name not in self._accepted_records:
            self._finish_imports()
            self._accepted_records[suite.name] = load_accepted_record(suite)
        return self._accepted_records[suite.name]

    def exam(self, suite: Suite) -> Exam:
        """Return what decides the gates of *suite* today; made once."""
        # The functions of a module share its name.
        key = (suite.name, *(gate.name for gate in suite.gates.values()))
        if key not in self._exams:
            from pytest_ftgate.results.exam import exam_of

            self._exams[key] = exam_of(suite)
        return self._exams[key]

    def accepted_limits(self, suite: Suite) -> Mapping[str, float]:
        """Return the default limits of gates, by name, that were accepted with *suite*.

        Raises:
            SuiteError: the accepted record is not valid.
        """
        record = self.accepted_record(suite)
        return record.limits if record and not self.settings.accept else {}

    def levels(self, suite: Suite) -> Levels:
        """Return the error rates of each drop check of *suite*.

        Raises:
            SuiteError: the accepted record is not valid.
        """
        record = self.accepted_record(suite)
        return shared_levels(suite, record.count_results) if record else shared_levels(suite)
