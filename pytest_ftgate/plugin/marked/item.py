"""A marked function as the gate of one variant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from inspect import signature, unwrap
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_ftgate.errors import ScorerError
from pytest_ftgate.gates.design import MAX_MISSING_SHARE
from pytest_ftgate.gates.needs import GivenScores
from pytest_ftgate.gates.notes import Note, text_note
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.plugin.accepted import store_accepted
from pytest_ftgate.plugin.item import BlockingVerdict, GateItemState, gates_in, skip_ungated
from pytest_ftgate.plugin.marked.attempt import (
    Attempt,
    failure_lines,
    run_on_attempts,
    take_failed_checks,
)
from pytest_ftgate.plugin.marked.marks import Placeholder, set_parameters
from pytest_ftgate.plugin.patching import finish_calls, patching_key
from pytest_ftgate.plugin.progress import live_progress, take_output
from pytest_ftgate.plugin.state import leaves_out
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.requests.request_groups import replies_vary
from pytest_ftgate.results.run import node_id
from pytest_ftgate.runner.evaluate_gate import (
    evaluate_look,
    request_all,
    request_first_look,
)
from pytest_ftgate.runner.planner import GateRun
from pytest_ftgate.runner.suite import final_verdict
from pytest_ftgate.scoring.scores import CaseResult, VariantScores, unscored_results
from pytest_ftgate.suite.function_references import without_static
from pytest_ftgate.suite.gate_kinds import is_rate
from pytest_ftgate.suite.model import Case, Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.results.accepted import AcceptedRecord
    from pytest_ftgate.runner.identity import IdentityReport

#: The most turns of a conversation; one that is longer asks something new each time.
_MAX_TURNS = 50
#: The scores of the baseline's replies by gate, shared by the items of all variants.
_baselines_key = pytest.StashKey[dict[tuple[str, str], VariantScores]]()


class _CaseAttempts(NamedTuple):
    """The runs of the function on one case, and its replies, which are not scored."""

    replies: CaseResult
    attempts: list[Attempt]

    def scored(self, case: Case) -> CaseResult | None:
        """Return the scores of *case*, that of the function's suite; None if it was skipped."""
        scored = [attempt for attempt in self.attempts if attempt.score_value is not None]
        unanswered = [a.missing_reason for a in self.attempts if a.missing_reason]
        missing_reasons = (*self.replies.missing_reasons, *unanswered)
        if not scored and not missing_reasons:
            return None
        turns = [one.fingerprint for attempt in scored for one in attempt.requests]
        return CaseResult(
            case=case,
            replies=tuple([reply for attempt in scored if (reply := attempt.scored_reply)]),
            scores=tuple([attempt.score for attempt in scored]),
            fingerprints=(*self.replies.fingerprints, *turns),
            missing_reasons=missing_reasons,
        )


class _FunctionRunner:
    """Provides the runs of a marked function, one for each reply, and keeps their outcome."""

    def __init__(
        self, state: GateItemState, placeholder: Placeholder, *, is_conversation: bool
    ) -> None:
        self._placeholder = placeholder
        #: True if the function takes ``ask``.
        self._is_conversation = is_conversation
        self._config, self._session = state.item.config, state.session
        self._gate_run = gate_run = state.gate_run
        #: The only look of the function.
        self.look = gate_run.looks[0]
        self._baseline = gate_run.suite.variants[gate_run.suite.baseline]
        self._is_baseline = gate_run.variant.name == self._baseline.name
        self._compares = gate_run.gate.compares(gate_run.variant) and not self._is_baseline
        self._gate_key = gate_run.gate_suite.name, gate_run.name
        self._baseline_scores = self._config.stash.setdefault(_baselines_key, {})
        #: The runs by case: of the variant, of the baseline, and of repeated requests to it.
        self._attempts: dict[str, list[_CaseAttempts]] = {}
        self._scores: dict[str, VariantScores] = {}
        self._requests: dict[str, CaseRequest] = {}
        #: True once the function has run on every reply.
        self.is_finished = False

    def prepare(self) -> None:
        """Collect the replies on which the function will run."""
        from pytest_ftgate.runner.identity import drift_requests

        gate_run, session, look = self._gate_run, self._session, self.look
        self._attempts = {"variant": self._attempts_for(gate_run.variant)}
        if not self._compares:
            return
        if self._gate_key not in self._baseline_scores:
            self._attempts["baseline"] = self._attempts_for(self._baseline)
        if not gate_run.planned:
            return
        groups = drift_requests(session, gate_run, look)
        for name, group in zip(("then", "now"), groups, strict=True):
            if requests := tuple(one for one in group if look.includes(one.case.id, 0)):
                results = session.replies.results(requests)
                replies = unscored_results(self._baseline.name, requests, results)
                self._attempts[name] = self._attempts_on(self._baseline, replies)

    def _attempts_for(self, variant: Variant) -> list[_CaseAttempts]:
        session, suite, look = self._session, self._gate_run.suite, self.look
        if self._gate_run.planned:
            return self._attempts_on(variant, session.scores.unscored(suite, variant, look))
        repeats = range(look.repeats if replies_vary(variant) else 1)
        contaminated = session.built.contaminated_cases(suite, variant)
        return [
            _CaseAttempts(
                CaseResult(case, (), (), ()), [self._attempt(variant, case, n) for n in repeats]
            )
            for case in suite.cases
            if look.includes(case.id, 0) and case.id not in contaminated
        ]

    def _attempts_on(self, variant: Variant, replies: VariantScores) -> list[_CaseAttempts]:
        return [
            _CaseAttempts(
                result,
                [self._attempt(variant, result.case, *each) for each in enumerate(result.replies)],
            )
            for result in replies.results.values()
        ]

    def _attempt(
        self, variant: Variant, case: Case, repeat: int, reply: Reply | None = None
    ) -> Attempt:
        attempt = Attempt(self._placeholder, variant, case, reply)
        if self._is_conversation:
            attempt.converse(self._session, self._gate_run.suite, repeat)
        return attempt

    # Running --------------------------------------------------------------------------------

    def attempts(self) -> Iterator[Attempt]:
        """Yield each attempt; one that waits for a reply is yielded again when the reply is here.

        Raises:
            RepliesMissing: too few turns got a reply to evaluate the gate.
            ScorerError: the function skips every case, or a conversation does not end.
        """
        waiting = [*_runs(chain.from_iterable(self._attempts.values()))]
        for _ in range(_MAX_TURNS):
            yield from waiting
            waiting = [attempt for attempt in waiting if attempt.pending_request]
            if not waiting:
                self._finish()
                return
            self._send([attempt.pending_request for attempt in waiting if attempt.pending_request])
        case = waiting[0].case
        raise ScorerError(
            f'the conversation about case "{case.id}" ({case.location}) has not ended after '
            f"{_MAX_TURNS} turns; the function must say the same whenever it is run again"
        )

    def _send(self, requests: Sequence[CaseRequest]) -> None:
        self._requests |= {request.request.fingerprint: request for request in requests}
        requests, suite = tuple(self._requests.values()), self._gate_run.suite.name
        with live_progress(self._config):
            self._session.replies.checked_results([requests], suite)

    def _finish(self) -> None:
        cases = {case.id: case for case in self._gate_run.gate_suite.cases}
        for name, group in self._attempts.items():
            variant = self._gate_run.variant if name == "variant" else self._baseline
            results = (one.scored(cases[one.replies.case.id]) for one in group)
            by_case = {result.case.id: result for result in results if result}
            self._scores[name] = VariantScores(variant.name, by_case)
            if self._is_conversation:
                requests = [one for attempt in _runs(group) for one in attempt.requests]
                self._session.scores.scored_requests.append((variant.name, requests))
        if not self.scores.results:
            attempts = self.attempts_of_variant
            reason = next((a.skip_reason for a in attempts if a.skip_reason), "")
            raise ScorerError(f"the function left out all {len(attempts)} cases: {reason}")
        baseline = self.scores if self._is_baseline else self._scores.get("baseline")
        if baseline is not None:
            self._baseline_scores[self._gate_key] = baseline
        self.is_finished = True

    def discard(self) -> None:
        """Free what only a failure shows: a run may have many functions with many cases."""
        self._attempts, self._scores, self._requests = {}, {}, {}

    # Results --------------------------------------------------------------------------------

    @property
    def requests(self) -> tuple[CaseRequest, ...]:
        """The requests of the function's own conversations with the variant."""
        return tuple(one for attempt in self.attempts_of_variant for one in attempt.requests)

    @property
    def attempts_of_variant(self) -> list[Attempt]:
        """The attempts on the variant's own replies."""
        return [*_runs(self._attempts["variant"])]

    @property
    def skip_reasons(self) -> Mapping[str, str]:
        """By case, why the function left out a reply of the variant."""
        attempts = self.attempts_of_variant
        return {a.case.id: a.skip_reason for a in attempts if a.skip_reason is not None}

    @property
    def scores(self) -> VariantScores:
        """The variant's scores."""
        return self._scores["variant"]

    @property
    def compared_scores(self) -> VariantScores | None:
        """The scores of the baseline that the gate compares with; None if it compares nothing."""
        return self._baseline_scores[self._gate_key] if self._compares else None

    def given_scores(self) -> GivenScores:
        """Return the scores of the variant and of its baseline."""
        from pytest_ftgate.gates.identity import drift_note
        from pytest_ftgate.gates.samples import samples_from_scores

        compared, shown = self.compared_scores, None
        if compared is None and not self._is_baseline:
            shown = self._baseline_scores.get(self._gate_key)
        pair = [self._scores[name] for name in ("then", "now") if name in self._scores]
        samples = [samples_from_scores(scores, "accuracy") for scores in pair]
        return GivenScores(
            {self._baseline.name: compared or self.scores, self.scores.variant: self.scores},
            drift=drift_note(*samples) if samples else None,
            shown=shown,
        )

    def first_failures(self) -> Mapping[str, Attempt]:
        """Return the first attempt of each case that scored less than 1."""
        failures = [
            attempt
            for attempt in self.attempts_of_variant
            if attempt.score_value is not None and attempt.score_value < 1
        ]
        return {attempt.case.id: attempt for attempt in reversed(failures)}


def _runs(cases: Iterable[_CaseAttempts]) -> Iterator[Attempt]:
    return chain.from_iterable(case.attempts for case in cases)


class FunctionGate:
    """The gate of a marked test function.

    A wrapper replaces the function, plain or async like it. Whatever plugin runs such functions
    (pytest, pytest-asyncio, anyio) runs the wrapper once an item, and the wrapper runs the
    function on every case.
    """

    def __init__(self, item: pytest.Function, placeholder: Placeholder) -> None:
        function, variant = placeholder.ftgate_function, placeholder.ftgate_variant
        self.item, metric = item, placeholder.ftgate_metric
        gates = {
            name: replace(gate, function=_gate_name(item, variant.name, metric, name))
            for name, gate in function.function_suite.gates.items()
            if is_rate(gate)
        }
        gate = gates[metric] if metric else next(iter(gates.values()))
        sides = (variant, function.suite.variants[function.suite.baseline])
        gate_run = GateRun(
            suite=self._own_suite(function.suite, placeholder),
            gate=gate,
            variant=variant,
            look=replace(function.look, replies_vary=any(map(replies_vary, sides))),
            function_suite=replace(function.function_suite, gates=gates),
            planned=function.planned,
        )
        self.state = GateItemState(item, gate_run, waits_for=_fixtures_before_requests(item))
        talks = "ask" in item.fixturenames
        self.runner = _FunctionRunner(self.state, placeholder, is_conversation=talks)
        #: What replaces the function, once it does.
        self._wrapper: Callable[..., Any] | None = None
        #: The verdict, once the function has run on every reply.
        self._verdict: Verdict | None = None
        self._blocking: BlockingVerdict | None = None
        self._identity: IdentityReport | None = None

    def _own_suite(self, suite: Suite, placeholder: Placeholder) -> Suite:
        """Return *suite*; with fixtures that may patch, the variants of the function share it."""
        if not self.item.config.stash[patching_key].of_item(self.item):
            return suite
        name = _gate_name(self.item, placeholder.ftgate_variant.name, placeholder.ftgate_metric, "")
        return suite.for_test(f"{self.item.nodeid.partition('::')[0]}::{name}", reads_cache=False)

    def setup(self) -> None:
        """Send requests, check identity, run the function, and store the verdict.

        An error here is an error of this gate alone.
        """
        if self._verdict is None:
            self.state.set_up(self._evaluate)
        else:
            # A plugin that runs a method again forgets what replaces it.
            self._wrap()

    def _evaluate(self) -> None:
        # Each of them may show that the variant is not what it claims to be: no more is needed.
        for step in (self._prepare, self._score, self._conclude):
            if self._verdict is None:
                step()

    def _prepare(self) -> None:
        session, gates = self.state.session, self.state.gates_to_submit()
        with session.replies.internal_errors():
            with live_progress(self.item.config):
                identity = request_first_look(session, self.state.gate_run, gates)
            if self.state.waits_for:
                # The fixtures of this item stand until it ends, and the other gates rely on them.
                request_all(session, gates)
            self._use_identity(identity)

    def _use_identity(self, identity: IdentityReport) -> None:
        """Keep *identity* for the verdict, which it is itself if the variant is invalid."""
        self._identity = identity
        gate_run = self.state.gate_run
        if invalid := identity.invalid_verdict(gate_run, self.item.nodeid):
            invalid = final_verdict(self.state.session, gate_run, invalid)
            self._wrap()
            self._keep(invalid, self.state.section(invalid))

    def _score(self) -> None:
        with self.state.session.replies.internal_errors():
            self.runner.prepare()
            self._wrap()
        # The function may patch what other gates call.
        finish_calls(self.item.config)
        if checks := take_failed_checks():
            raise ScorerError(f"a check in a fixture failed: {checks[0]}")
        try:
            self.item.runtest()
        except pytest.skip.Exception as skipped:
            # A skip by the function is that of a case. Before 8.4 pytest skips an async function
            # that no plugin runs, and then no gate would block.
            raise ScorerError(f"the function ran on none of the cases: {skipped.msg}") from skipped
        if not self.runner.is_finished:
            raise ScorerError("another plugin ran the function, but on none of the cases")
        self._check_conversations()

    def _check_conversations(self) -> None:
        """Check the identity by the function's own requests too."""
        from pytest_ftgate.runner.identity import check_identity

        session, requests = self.state.session, self.runner.requests
        if not requests:
            return
        results = session.replies.engine.results
        with session.replies.internal_errors():
            identity = check_identity(session, self.state.gate_run, results, requests)
        self._use_identity(identity)

    def _wrap(self) -> None:
        if self._wrapper is not None and self.item.obj is self._wrapper:
            return
        original = without_static(self.item.obj)
        self._wrapper = run_on_attempts(original, self._attempts, around=lambda attempt: attempt)
        self.item.obj = self._wrapper

    def _attempts(self, arguments: dict[str, Any]) -> Iterator[Attempt]:
        """Put the values of each attempt into *arguments*, and yield it.

        The item runs twice: in its setup all attempts, and then only to fail if the verdict does.
        """
        __tracebackhide__ = True
        if self._verdict is not None:
            skip_ungated(self._verdict)
            if self._blocking is not None:
                raise self._blocking
            return
        parameters = [name for name in set_parameters(self.item) if name in arguments]
        # What fixtures printed stays with the item, what the function prints with its case.
        if text := take_output(self.item.config):
            self.item.add_report_section("setup", "stdout", text)
        # What the function raises does not reach this context.
        with self.state.session.replies.internal_errors():
            for attempt in self.runner.attempts():
                arguments |= [(name, getattr(attempt, name)) for name in parameters]
                yield attempt
                # After an error the generator ends here, and pytest shows the output of that case.
                attempt.output = take_output(self.item.config)

    # Verdict --------------------------------------------------------------------------------

    def _conclude(self) -> None:
        with self.state.session.replies.internal_errors():
            verdict = self._evaluate_attempts()
            blocks = self.state.blocks(verdict)
            if not blocks and (text := "".join(self._outputs())):
                self.item.add_report_section("setup", "stdout", text)
            self._keep(verdict, self._section(verdict) if blocks else "")

    def _keep(self, verdict: Verdict, section: str) -> None:
        """Store the verdict; a plugin may run a test again, and the verdict stays the same.

        *section* is shown if the verdict blocks; "" if it does not.
        """
        self._blocking = BlockingVerdict(verdict, section) if section else None
        self.runner.discard()
        self._verdict = verdict
        self.state.store(verdict)

    def _outputs(self) -> Iterator[str]:
        """Yield what the function printed about each case, which pytest shows with -rP."""
        for attempt in self.runner.attempts_of_variant:
            for line in attempt.output.splitlines():
                yield f"{attempt.case.id}: {line}\n"

    def _evaluate_attempts(self) -> Verdict:
        gate_run, session = self.state.gate_run, self.state.session
        self._require_scored()
        source = self.runner.given_scores()
        verdict = evaluate_look(session, gate_run, self.runner.look, source)
        notes = (*verdict.notes, *self._skip_notes())
        verdict = replace(verdict, node=self.item.nodeid, notes=notes)
        if self.state.settings.accept:
            store_accepted(self.item, gate_run, self.runner.scores)
        verdict = self._identity.add_to(verdict) if self._identity else verdict
        record = session.records.of(gate_run.gate_suite)
        return final_verdict(session, gate_run, verdict, self._left_out(record))

    def _require_scored(self) -> None:
        """Check that the function leaves out few of the cases that it scored before.

        Raises:
            ScorerError: it scored more of them for the baseline, or in the accepted run.
        """
        gate_run, records = self.state.gate_run, self.state.session.records
        compared = self.runner.compared_scores
        before = {compared.variant: compared.case_ids} if compared else {}
        names = (gate_run.accepted_name, gate_run.gate.kind)
        accepted, _ = records.samples(gate_run.gate_suite, *names)
        if accepted is not None and not self.state.settings.accept:
            before["the accepted run"] = accepted.case_ids
        reasons = self.runner.skip_reasons
        for name, ids in before.items():
            left_out = [reasons[case_id] for case_id in ids if case_id in reasons]
            if len(left_out) > MAX_MISSING_SHARE * len(ids):
                raise ScorerError(
                    f"the function leaves out {len(left_out)} of {len(ids)} cases that it scored "
                    f'for {name}: "{left_out[0]}"; return False for a wrong reply, and skip a case '
                    "only for what the case is"
                )

    def _left_out(self, record: AcceptedRecord | None) -> frozenset[str]:
        """Return the accepted gates of this module that are in the run, or that it leaves out."""
        present = {gate_run.name for gate_run in gates_in(self.item.session.items).values()}
        accepted = {node_id(verdict): verdict.gate for verdict in record.verdicts} if record else {}
        return frozenset(
            gate
            for node, gate in accepted.items()
            if gate in present or leaves_out(self.item.config, node)
        )

    def _skip_notes(self) -> Iterator[Note]:
        reasons = self.runner.skip_reasons
        if reasons:
            reason, count = Counter(reasons.values()).most_common(1)[0]
            quoted = f'"{reason}" ({count})' if count < len(reasons) else f'"{reason}"'
            cases = f"{len(reasons)} case{'s are' if len(reasons) != 1 else ' is'}"
            yield text_note(f"{cases} left out by the function itself: {quoted}")

    def _section(self, verdict: Verdict) -> str:
        failures = self.runner.first_failures()
        shown = [flip.case for flip in verdict.flips if flip.case in failures]
        return self.state.section(
            verdict, {case: [*failure_lines(failures[case], self.item.config)] for case in shown}
        )


def placeholder_of(item: pytest.Item) -> Placeholder | None:
    """Return the placeholder among the parameters of *item*; None if it has none."""
    params: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    return next((value for value in params.values() if isinstance(value, Placeholder)), None)


def _gate_name(item: pytest.Function, variant: str, metric: str, other: str) -> str:
    """Return the item's name without its variant, such as ``TestTone::test_polite[formal]``.

    The name of the metric *other* replaces that of the item's own *metric*, if it has one; ""
    leaves it out.
    """
    name, _, params = item.nodeid.partition("::")[2].partition("[")
    own = f"-{variant}-{metric}-" if metric else f"-{variant}-"
    rest = f"-{other}-" if metric and other else "-"
    parts = f"-{params.removesuffix(']')}-".replace(own, rest, 1).strip("-")
    return f"{name}[{parts}]" if parts else name


def _fixtures_before_requests(item: pytest.Function) -> frozenset[str] | None:
    """Return the fixtures that stand before the requests of *item* are known; all are autouse.

    None: fixtures that it names, or a skip condition, may decide which requests are sent.
    """
    marks = ("skip", "skipif", "usefixtures")
    fixtures = {*item.fixturenames} - {*item.callspec.params, "request", "subtests"}
    named = fixtures & {*signature(unwrap(item.function)).parameters}
    # An autouse fixture may do something else for each variant.
    depends = "variant" in item.callspec.params and fixtures
    if named or depends or any(True for name in marks for _ in item.iter_markers(name)):
        return None
    return frozenset(fixtures)
