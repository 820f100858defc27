"""Evaluates gates and measures ungated variants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_ftgate.errors import (
    ConfigurationError,
    FigureError,
    FtgateError,
    RepliesMissing,
    WrongModel,
)
from pytest_ftgate.gates.design import Look
from pytest_ftgate.gates.kinds import kind_of
from pytest_ftgate.gates.needs import (
    Given,
    ScoreRequest,
    ScoreSource,
    TimesRequest,
)
from pytest_ftgate.gates.notes import Note, NoteKind, note, text_note
from pytest_ftgate.gates.statements import Statement, StatementKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.number_text import percent
from pytest_ftgate.runner.planner import GateRun, Plan, full_look, look_size, runs_in_blocks
from pytest_ftgate.runner.scores import human_scores
from pytest_ftgate.runner.session import Session
from pytest_ftgate.runner.suite import final_verdict
from pytest_ftgate.scoring.scores import VariantScores, validate_rules
from pytest_ftgate.suite.gate_kinds import compares_skills, is_rate
from pytest_ftgate.suite.model import Suite

if TYPE_CHECKING:
    from pytest_ftgate.gates.figures import ReplyTimes
    from pytest_ftgate.gates.judges import JudgeEvidence
    from pytest_ftgate.runner.identity import IdentityReport


#: Equal grades from one judge are reported from this number of replies on.
_MIN_CONSTANT_GRADES = 20

#: The number of contaminated cases that a note names.
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict of a gate in this process, and the look that it rests on."""

    verdict: Verdict
    look: Look


def evaluate_gate(
    session: Session,
    gate_run: GateRun,
    *,
    submit_with: Iterable[GateRun] = (),
) -> GateResult:
    """Evaluate a gate of a suite file, look by look, until further replies cannot change it.

    The outcome is INVALID if the variant is not what it claims to be. A run that writes accepted
    records asks all cases, however early the verdict is clear. *submit_with* are the gates whose
    requests are submitted at once, *gate_run* included.

    Raises:
        FtgateError: a scorer cannot be used, requests cannot be sent, or too few replies came.
    """
    looks = gate_run.looks
    if not gate_run.sends_requests:
        verdict = evaluate_look(session, gate_run, looks[0])
        return GateResult(final_verdict(session, gate_run, verdict), looks[0])
    identity = request_first_look(session, gate_run, submit_with)
    if invalid := identity.invalid_verdict(gate_run):
        return GateResult(final_verdict(session, gate_run, invalid), looks[0])
    for look in looks:
        session.replies.checked_results(session.groups(gate_run, look), gate_run.suite.name)
        verdict = evaluate_look(session, gate_run, look)
        needs_all = session.settings.accept and look.cases is not None
        is_decided = verdict.outcome in (Outcome.PASSED, Outcome.FAILED)
        if is_decided and not needs_all:
            break
    return GateResult(final_verdict(session, gate_run, identity.add_to(verdict)), look)


def request_first_look(
    session: Session, gate_run: GateRun, submit_with: Iterable[GateRun] = ()
) -> IdentityReport:
    """Send the requests of a gate, wait for its first look, and check the variant's identity.

    Raises:
        FtgateError: a scorer cannot be used, requests cannot be sent, or too few replies came.
    """
    # A marked function scores its replies itself.
    if gate_run.function_suite is None:
        _validate_scorers(session, gate_run)
    if submit_with:
        session.submit(submit_with)
    elif compares_skills(gate_run.gate) and not session.is_submitted(gate_run):
        session.probe.ask_pilots([(gate_run.suite, gate_run.variant)])
    session.records.of(gate_run.gate_suite)
    try:
        return _check_identity(session, gate_run)
    except RepliesMissing as error:
        if not isinstance(error.__cause__, WrongModel):
            raise
        from pytest_ftgate.runner.identity import wrong_model_report

        return wrong_model_report(session, gate_run, str(error.__cause__))


def _check_identity(session: Session, gate_run: GateRun) -> IdentityReport:
    """Wait for the identity probes, then for the other requests of the first look."""
    report = _prove(session, gate_run)
    if report is not None and report.invalid_reason:
        return report
    requests, suite = session.groups(gate_run), gate_run.suite.name
    results = session.replies.checked_results(requests, suite)
    from pytest_ftgate.runner.identity import check_identity  # likewise

    return check_identity(session, gate_run, results)


def _prove(session: Session, gate_run: GateRun) -> IdentityReport | None:
    """Return whether a tuned variant differs from its base; None if no request shows it.

    Only then are its other requests sent.
    """
    probes = session.plan(gate_run).identity_probes(gate_run)
    if not probes:
        return None
    session.replies.checked_results([probes], gate_run.suite.name)
    # Imports SciPy, which another thread has imported while this one waited for replies.
    from pytest_ftgate.runner.identity import check_tuned_identity

    report = check_tuned_identity(session, gate_run)
    session.submissions.submit_proven(gate_run, is_valid=not report.invalid_reason)
    return report


def request_all(session: Session, gates: Iterable[GateRun]) -> None:
    """Wait for the first looks of *gates*; each gate reports by itself what has failed."""
    for gate_run in gates:
        with suppress(FtgateError):
            report = _prove(session, gate_run)
            if report is not None and report.invalid_reason:
                continue
            for requests in session.groups(gate_run):
                session.replies.results(requests)


def _validate_scorers(session: Session, gate_run: GateRun) -> None:
    """Raise an error if a scorer or a judge cannot be used, before replies are paid for."""
    suite, gate = gate_run.suite, gate_run.gate
    validate_rules(suite.cases, suite.path.parent)
    validate_rules(gate.own_cases, suite.path.parent)
    if gate_run.is_graded:
        session.judges.validations(suite)


class PlannedScores(ScoreSource):
    """The scores and times that the replies of a session bring for one gate at a look."""

    def __init__(self, session: Session, gate_run: GateRun, look: Look) -> None:
        self._session, self._gate_run, self._look = session, gate_run, look

    @property
    def _plan(self) -> Plan:
        return self._session.plan(self._gate_run)

    def scores(self, request: ScoreRequest) -> VariantScores:
        """Return the scores that *request* names."""
        return self._session.scores.scores(self._plan, request)

    def sent_scores(self, request: ScoreRequest) -> VariantScores | None:
        """Return the scores of the baseline's replies that this run requests anyway, if any."""
        suite, variant = self._gate_run.suite, self._gate_run.variant
        return self._session.submitted_scores(suite, variant, self._look, graded=request.graded)

    def baseline_drift(self) -> Note | None:
        """Return how the baseline has drifted since it was recorded; None without a drift."""
        from pytest_ftgate.runner.identity import baseline_drift

        return baseline_drift(self._session, self._gate_run, self._look)

    def judge_evidence(
        self, scores: VariantScores, baseline: VariantScores
    ) -> JudgeEvidence | None:
        """Return the evidence on the judges that graded *scores*, or None without judges."""
        found = judge_evidence_of(self._session, self._gate_run.suite, scores, baseline)
        if found:
            self._session.scores.judge_evidence[scores] = found
        return found

    def times(self, request: TimesRequest) -> ReplyTimes:
        """Return the latencies of the replies."""
        replies, suite = request.replies, self._gate_run.suite
        requests = self._plan.requests(replies)
        return self._session.reply_times(replies.variant, requests, only_for=suite.only_for)


def judge_evidence_of(
    session: Session, suite: Suite, scores: VariantScores, baseline: VariantScores
) -> JudgeEvidence | None:
    """Return the evidence on the judges that graded *scores*, or None without judges."""
    if not suite.judges:
        return None
    from pytest_ftgate.gates.judges import JudgeEvidence

    alone = suite.reply.score.kind == "judge" and all(
        result.case.score.key == suite.reply.score.key for result in scores.results.values()
    )
    compared = None if baseline is scores else baseline
    said, before = human_scores(suite, scores, compared) if alone else ({}, {})
    pairwise = alone and any(judge.is_pairwise for judge in suite.judges)
    # A pairwise judge does not grade the baseline, which would be compared with itself.
    graded = [side for side in (scores, baseline) if not (pairwise and side is baseline)]
    grades = [
        score.correct
        for side in graded
        for result in side.results.values()
        for score in result.scores
        if score.correct is not None
    ]
    is_constant = len({*grades}) == 1 and len(grades) >= _MIN_CONSTANT_GRADES
    return JudgeEvidence(
        validations=session.judges.validations(suite),
        is_sole_score=alone,
        human_scores=said,
        baseline_human_scores=before,
        is_pairwise=pairwise,
        ungraded=_ungraded_note(scores),
        constant_grades=len(grades) if is_constant else 0,
    )


def _ungraded_note(scores: VariantScores) -> Note | None:
    """Return how many replies have no grade, and the first reason; None if all are graded."""
    content = [score for result in scores.results.values() for score in result.scores]
    reasons = [score.reason for score in content if score.correct is None and score.reason]
    if not reasons:
        return None
    return note(NoteKind.UNGRADED, n=len(reasons), of=len(content), first=reasons[0])


def given_at(session: Session, gate_run: GateRun, look: Look, source: ScoreSource) -> Given:
    """Return what the evaluation of *gate_run* at *look* reads, with the scores of *source*."""
    suite, gate = gate_run.gate_suite, gate_run.gate
    accepted, anchor = session.records.samples(suite, gate_run.accepted_name, gate.kind)
    has_levels = compares_skills(gate)
    return Given(
        suite=suite,
        variant=gate_run.variant,
        look=look,
        source=source,
        levels=session.records.levels(suite),
        accepted=accepted,
        anchor=anchor,
        skill_levels=session.plan(gate_run).facts.levels if has_levels else (),
        peak_in_flight=session.replies.progress.peak_in_flight,
    )


def evaluate_look(
    session: Session, gate_run: GateRun, look: Look, source: ScoreSource | None = None
) -> Verdict:
    """Return the verdict of the gate on the replies up to *look*; *source* has their scores."""
    source = source or PlannedScores(session, gate_run, look)
    given = given_at(session, gate_run, look, source)
    try:
        verdict = kind_of(gate_run.gate).evaluate(gate_run.gate, given)
    except FigureError as error:
        # Gates state what is wrong, and have no words for it.
        raise ConfigurationError(note_text(error.note)) from error
    notes = (*verdict.notes, *contamination_notes(session, gate_run))
    return note_missing_replies(session, replace(verdict, notes=notes))


def note_missing_replies(session: Session, verdict: Verdict) -> Verdict:
    """Return *verdict* with the reason for missing replies, if there are any."""
    check, values = verdict.check, verdict.statement.values
    if not (check.missing if check else values.get("missing")):
        return verdict
    told = [str(value) for one in verdict.notes for value in one.values.values()]
    stopped = session.replies.budget.stopped
    if stopped and not any(stopped in text for text in told):
        verdict = replace(verdict, notes=(*verdict.notes, text_note(stopped)))
    if not (check.n if check else "rate" in values):
        if any(judge.errors for judge in verdict.judges):
            return verdict
        kind = StatementKind.NO_GRADES if verdict.judges else StatementKind.NO_REPLIES
        lacks = {"lacks": "tokens"} if check and check.unit == "usd" else {}
        kinds = {one.kind for one in verdict.notes}
        if check and NoteKind.UNKNOWN_RUNS in kinds:
            lacks = {"lacks": check.unit}
        elif NoteKind.NO_TARIFF in kinds:
            lacks = {"lacks": "price"}
        return replace(verdict, statement=Statement(kind, {**lacks}), checks=())
    return verdict


def contamination_notes(session: Session, gate_run: GateRun) -> Iterator[Note]:
    """Yield a note on the cases that do not count because the variant was trained on them."""
    suite, variant = gate_run.suite, gate_run.variant
    if not is_rate(gate_run.gate):
        return
    contaminated = session.built.contaminated_cases(suite, variant)
    if contaminated and variant.training_data:
        ids = [case.id for case in suite.cases if case.id in contaminated]
        named = ", ".join(ids[:_MAX_NAMED]) + (", …" if len(ids) > _MAX_NAMED else "")
        count = f"{len(ids)} of {len(suite.cases)} cases do not count"
        why = f"{variant.name} was trained on them ({variant.training_data.name})"
        yield text_note(f"{count}: {why}: {named}")


#: Results of gates that are known already, by variant and gate.
KnownResults = Mapping[tuple[str, str], GateResult]


def measure_ungated(session: Session, suite: Suite, known: KnownResults) -> Iterator[Verdict]:
    """Yield the measurements of the variants without gates, on the cases that gates have needed."""
    from pytest_ftgate.runner.identity import check_ungated_identity

    ungated = [variant for variant in suite.variants.values() if not variant.gated]
    look = _needed_look(session, suite, known) if ungated else full_look(suite)
    for variant in ungated:
        try:
            session.probe.ask_first_probes([(suite, variant)])
            requests = session.built.task(suite, variant, look)
            probes = session.probe.plan(suite, variant).probe_stages[0] if variant.tuned else ()
            results = session.replies.checked_results([requests, *probes], suite.name)
            scores = session.scores.task_scores(suite, variant, look)
            identity = check_ungated_identity(session, suite, variant, requests, results)
        except FtgateError as error:
            from pytest_ftgate.gates.measures import unmeasured_verdict

            yield unmeasured_verdict(suite, variant, text_note(str(error)))
            continue
        yield from _measure_variant(session, suite, scores, identity, look)


def _needed_look(session: Session, suite: Suite, known: KnownResults) -> Look:
    """Return the largest look that gates have needed; all cases if one needs them at once.

    What another process has evaluated is evaluated again, on the same replies.
    """
    looks = list[Look]()
    for run in runs_in_blocks(suite, ladder=session.settings.ladder):
        # A gate that fails with an error has needed nothing.
        with suppress(FtgateError):
            found = known.get((run.variant.name, run.gate.kind))
            looks.append((found or evaluate_gate(session, run)).look)
    return max(looks, key=look_size, default=full_look(suite))


def _measure_variant(
    session: Session, suite: Suite, scores: VariantScores, identity: IdentityReport, look: Look
) -> Iterator[Verdict]:
    """Yield the measurements of one variant; none with a wrong identity or too few replies."""
    from pytest_ftgate.gates.measures import unmeasured_verdict

    variant, part = suite.variants[scores.variant], list[Note]()
    if look.cases is not None and len(look.cases) < len(suite.cases):
        part.append(note(NoteKind.NEEDED_CASES, n=len(scores.results), of=len(suite.cases)))
    if identity.invalid_reason:
        yield unmeasured_verdict(suite, variant, identity.invalid_reason, is_invalid=True)
        return
    if 2 * len(scores.unanswered) > len(scores.results):
        reason = text_note(scores.unanswered[0].missing_reasons[0])
        yield unmeasured_verdict(suite, variant, reason)
        return
    for gate in suite.gates.values():
        gate_run = GateRun(suite, gate, variant)
        given = given_at(session, gate_run, look, PlannedScores(session, gate_run, look))
        for verdict in kind_of(gate).measure(gate, given):
            yield identity.add_to(replace(verdict, notes=(*verdict.notes, *part)))


def interrupted_notes(session: Session, gates: Iterable[GateRun]) -> Iterator[str]:
    """Yield a note on an interrupted run, and one on each variant with cases left to ask.

    The session is closed, and no request is in flight.
    """
    progress = session.replies.progress
    if not progress.failed:
        # All replies came: scoring them is what was interrupted, and takes as long once more.
        return
    submitted = {
        (gate_run.gate_suite.name, gate_run.variant.name): gate_run
        for gate_run in gates
        if is_rate(gate_run.gate) and gate_run.planned and session.is_submitted(gate_run)
    }
    if submitted:
        count = f"{progress.failed:,} of {progress.to_send:,} requests were not answered"
        yield f"interrupted: {count}; the same command continues, and no reply is paid for twice"
    for gate_run in submitted.values():
        # Best effort: partial results may be inconsistent.
        with suppress(Exception):
            suite, variant = gate_run.suite, gate_run.variant
            scores = session.scores.task_scores(suite, variant, full_look(suite), graded=False)
            yield from _progress_note(variant.name, scores)


def _progress_note(variant: str, scores: VariantScores) -> Iterator[str]:
    """Yield a note on a variant without replies to all of its cases."""
    from pytest_ftgate.gates.figures import rate_figure
    from pytest_ftgate.gates.samples import samples_from_scores

    answered = len(scores.results) - len(scores.unanswered)
    if answered == len(scores.results):
        return
    rate = rate_figure(samples_from_scores(scores, "accuracy"))
    right = f", {percent(rate.value)} right" if rate.n else ""
    yield f"{variant} so far: {answered:,} of {len(scores.results):,} cases{right}"
