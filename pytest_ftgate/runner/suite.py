"""A loaded suite as a run evaluates it: with settings, limits, and the exam that was accepted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, product
from typing import TYPE_CHECKING

from pytest_ftgate.errors import Diagnostic, SuiteError
from pytest_ftgate.gates.design import (
    LAST_LOOK_MISS,
    MISS,
    MOST_COMPARED,
    TYPICAL_DISCORDANCE,
    build_checks,
    design_of_rows,
)
from pytest_ftgate.gates.feasibility import (
    Problem,
    exclude_unrunnable_skills,
    missing_limits,
    with_default_limits,
)
from pytest_ftgate.gates.kinds import infeasible_limits
from pytest_ftgate.gates.notes import NoteKind, text_note
from pytest_ftgate.gates.statements import ExamChange, NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.headlines import exam_sentences
from pytest_ftgate.reporting.notes import notes_text
from pytest_ftgate.reporting.number_text import unsigned_points
from pytest_ftgate.runner.planner import GateRun
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import docs_page
from pytest_ftgate.suite.cases import equal_inputs
from pytest_ftgate.suite.gate_kinds import is_rate
from pytest_ftgate.suite.model import Gate, Suite
from pytest_ftgate.suite.variants import with_batching

if TYPE_CHECKING:
    from pytest_ftgate.results.accepted import AcceptedRecord
    from pytest_ftgate.results.exam import ExamCase


def final_verdict(
    session: Session, gate_run: GateRun, verdict: Verdict, hidden: frozenset[str] = frozenset()
) -> Verdict:
    """Return *verdict* as reports show it: with its checkpoint, and with how the exam has changed.

    A checkpoint that does not decide fails no build. *hidden* are accepted gates that this run
    leaves out.
    """
    if verdict.statement.kind is StatementKind.NOT_MEASURED:
        verdict = _as_measured_last(session, verdict)
    if verdict.outcome is not Outcome.INVALID:
        verdict = _with_exam(session, gate_run, verdict, hidden)
    variant = gate_run.variant
    gated = verdict.gated and variant.decides
    return replace(verdict, checkpoint=variant.checkpoint, gated=gated)


def _as_measured_last(session: Session, verdict: Verdict) -> Verdict:
    """Return *verdict*, which measured nothing; it is inconclusive if all replies were too slow.

    Otherwise the same command, whose replies are cached now, would turn a red gate green.
    """
    from pytest_ftgate.results.run import load_verdicts, node_id

    kept = {node_id(one): one for one in load_verdicts(session.settings.cache.parent)}
    last = kept.get(node_id(verdict), verdict)
    # Missing replies, or an exam that has shrunk, say nothing of the time that replies take.
    slow = any(one.outcome is not Outcome.PASSED and not one.missing for one in last.checks)
    if not slow and not last.statement.values.get("again"):
        return verdict
    statement = Statement(StatementKind.NOT_MEASURED, {**verdict.statement.values, "again": True})
    return replace(verdict, outcome=Outcome.INCONCLUSIVE, statement=statement, gated=True)


def _with_exam(
    session: Session, gate_run: GateRun, verdict: Verdict, hidden: frozenset[str]
) -> Verdict:
    """Return *verdict* with how the exam has changed since a run was accepted.

    What is left of the exam decides first: a failed verdict stays. Any other one is inconclusive if
    the exam has shrunk. A run that is accepted asks for nothing that is gone, nor to be accepted.
    """
    if session.settings.accept:
        steps = (step for step in verdict.next if step.kind is not StepKind.ACCEPT)
        return replace(verdict, next=tuple(steps))
    record = session.records.of(gate_run.gate_suite)
    if record is None:
        return verdict
    change = _exam_change(session, gate_run, record, hidden)
    sentences = tuple(map(text_note, exam_sentences(change)))
    told = replace(verdict, exam=change, notes=(*verdict.notes, *sentences))
    if not change.has_shrunk or verdict.outcome in (Outcome.FAILED, Outcome.INVALID):
        return told
    kind = StepKind.ACCEPT if change.is_older else StepKind.ACCEPT_EXAM
    step = NextStep(kind, {"suite": gate_run.gate_suite.name})
    if verdict.outcome is Outcome.INCONCLUSIVE:
        # The same command accepts the result as well.
        others = (
            s for s in verdict.next if s.kind is not StepKind.ACCEPT_RUN or s.values["anchor"]
        )
        return replace(told, next=(*others, step))
    return replace(
        told,
        outcome=Outcome.INCONCLUSIVE,
        gated=True,
        # The headline is the first sentence.
        notes=(*verdict.notes, *sentences[1:]),
        statement=Statement(StatementKind.EXAM_HAS_SHRUNK),
        next=(step,),
    )


def _exam_change(
    session: Session, gate_run: GateRun, record: AcceptedRecord, hidden: frozenset[str]
) -> ExamChange:
    from pytest_ftgate.results.exam import compare_exams, with_unscored

    if record.exam is None:
        return ExamChange(is_older=True)
    name, variant, accepted = gate_run.name, gate_run.variant, gate_run.variant.declared_name
    right, trained_on = record.right(name, accepted), frozenset[str]()
    if is_rate(gate_run.gate):
        trained_on = session.built.contaminated_cases(gate_run.suite, variant)
    before = record.exam.without(gates=hidden - {name})
    exam = session.records.exam(gate_run.gate_suite)
    # Those that were trained on before were not accepted.
    now = exam.without(cases=trained_on & right.keys())
    change = compare_exams(before, now, name, accepted, right)
    verdicts = (one for one in record.verdicts if (one.gate, one.variant) == (name, accepted))
    lacked = any(told.kind == NoteKind.NO_REPLY for one in verdicts for told in one.notes)
    # A case without a result may also be new, or have been trained on, or be skipped by a function.
    if gate_run.function_suite is not None or not lacked:
        return change
    return with_unscored(change, before, exam.without(cases=trained_on), name, right)


def check_accepted_limits(session: Session, suite: Suite) -> None:
    """Check that the default limits in the accepted record are those of its own cases.

    Raises:
        SuiteError: a limit is wider than what the accepted cases can show.
    """
    record, limits = session.records.of(suite), session.records.limits(suite)
    if record is None or not limits:
        return
    errors = [
        _wide_limit(suite, gate.name, limits[gate.name], max(_shown_then(suite, gate, record)))
        for gate in suite.gates.values()
        if gate.has_default_limit and gate.name in limits
        if all(limits[gate.name] > shown for shown in _shown_then(suite, gate, record))
    ]
    if errors:
        raise SuiteError(suite.name, errors)


def _shown_then(suite: Suite, gate: Gate, record: AcceptedRecord) -> Iterator[float]:
    """Yield default limits that *gate* may have had when *record* was accepted.

    The record does not say how many checks there were, nor whether replies varied, whether scores
    were graded, or whether there were several looks.
    """
    from pytest_ftgate.gates.power import MAX_DEFAULT_LIMIT, limit_of_design

    cases = [] if gate.own_cases else [*_accepted_cases(suite, gate, record)]
    if record.exam is None or not cases:
        has_come = {case.id for case in suite.cases} - record.case_ids
        yield MAX_DEFAULT_LIMIT if has_come else gate.max_drop or MAX_DEFAULT_LIMIT
        return
    checks = max(build_checks(suite, gate), MOST_COMPARED * len(record.exam.gates))
    design = design_of_rows(
        [case.weight for _, case in cases], [case.group or f"\0{key}" for key, case in cases]
    )
    # A formula has what graded scores show, mostly the widest limit.
    for is_graded, miss in product((True, False), (LAST_LOOK_MISS, MISS)):
        one = replace(design, is_graded=is_graded, miss=miss)
        yield limit_of_design(one, TYPICAL_DISCORDANCE, checks) or MAX_DEFAULT_LIMIT


def _accepted_cases(
    suite: Suite, gate: Gate, record: AcceptedRecord
) -> Iterator[tuple[str, ExamCase]]:
    """Yield the cases with a weight that *gate* evaluated when *record* was accepted.

    Those without a score got none, or expected nothing: that is known of cases that are as they
    were.
    """
    exam = record.exam.gates.get(gate.name) if record.exam else None
    if record.exam is None or exam is None:
        return
    from pytest_ftgate.results.exam import case_digest

    scores = [*chain(*(record.right(gate.name, name).items() for name in exam.variants))]
    replied, scored = {key for key, _ in scores}, {key for key, one in scores if one is not None}
    evaluated = {case.id: case for case in gate.evaluated_cases(suite.cases)}
    other = {case.id for case in suite.cases} - evaluated.keys()
    for key, case in record.exam.cases.get(exam.cases, {}).items():
        counts = key in scored or (key not in replied and key not in other)
        if not counts and key in evaluated:
            counts = case.digest == case_digest(evaluated[key], suite.path.parent)
        if counts and case.weight > 0:
            yield key, case


def _wide_limit(suite: Suite, gate: str, limit: float, shown: float) -> Diagnostic:
    from pytest_ftgate.results.accepted import accepted_limit_line

    path = suite.accepted_path
    message = (
        f"limits: {gate}: {limit:g} lets {unsigned_points(limit)} points go, and the accepted "
        f"cases can show {unsigned_points(shown)}; restore the line, or accept a run again"
    )
    return Diagnostic(path.name, accepted_limit_line(path, gate), message)


def prepare_suite(session: Session, suite: Suite) -> Suite:
    """Return *suite* with the settings of *session*, and load the replies committed beside it.

    Raises:
        SuiteError: the committed replies or the accepted record cannot be read, or a gate has too
            few cases for a default limit; or safe mode does not allow what the suite names; or a
            variant that is several checkpoints is to be accepted.
    """
    if session.settings.safe:
        from pytest_ftgate.suite.safe_mode import check_safe

        variables = {rule.variable for rule in session.settings.keys}
        check_safe(suite, session.settings.root, variables)
    if session.settings.accept:
        _raise_if_several(suite)
    suite = exclude_unrunnable_skills(suite)
    if session.settings.variants:
        from pytest_ftgate.suite.checkpoints import with_chosen

        suite = with_chosen(suite, session.settings.variants)
    suite = with_batching(suite) if session.settings.batch else suite
    session.replies.use_committed_replies(suite)
    session.replies.user_messages += _messages(session, suite)
    suite = with_limits(suite, session.records.limits(suite))
    check_accepted_limits(session, suite)
    if suite.repeats is None:
        from pytest_ftgate.gates.power import needed_repeats  # imports SciPy

        suite = replace(suite, repeats=needed_repeats(suite))
    session.suites.append(suite)
    return suite


def _raise_if_several(suite: Suite) -> None:
    """Raise a SuiteError if a variant is several checkpoints: a record has one result of each."""
    errors = [
        Diagnostic(
            suite.name,
            variant.line,
            f'variant "{variant.declared_name}": --ftgate-accept: it is several checkpoints; write '
            "the one that you accept into the suite",
        )
        for variant in suite.variants.values()
        if variant.checkpoint
    ]
    if errors:
        raise SuiteError(suite.name, errors)


def _messages(session: Session, suite: Suite) -> Iterator[str]:
    """Yield what is probably a mistake in *suite*, and which of its cases count as one."""
    typed, same = session.settings.typed, equal_inputs(suite.cases)
    yield from (str(replace(one, path=typed(one.path))) for one in suite.warnings)
    if same:
        yield f"{typed(suite.name)}: {same}"


# Limits that no replies could keep ----------------------------------------------------------------


def with_limits(suite: Suite, accepted_limits: Mapping[str, float]) -> Suite:
    """Return *suite* with the limits of *with_default_limits*.

    Raises:
        SuiteError: a gate without a minimum has too few cases for a limit.
    """
    suite = with_default_limits(suite, accepted_limits)
    _raise_errors(suite, missing_limits(suite))
    return suite


def check_feasibility(suite: Suite) -> None:
    """Raise an error if a gate has a limit that its cases can never show to hold.

    Raises:
        SuiteError: with a diagnostic for each such gate, and what it needs.
    """
    _raise_errors(suite, infeasible_limits(suite))


def _raise_errors(suite: Suite, problems: Iterable[tuple[Gate, Problem]]) -> None:
    errors = [gate_error(suite, gate, notes_text(problem)) for gate, problem in problems]
    if errors:
        raise SuiteError(suite.name, errors)


def gate_error(suite: Suite, gate: Gate, message: str) -> Diagnostic:
    """Return the error *message* at the key of *gate*, with the address of its reference."""
    if gate.function:  # its mark has no key, and its line already identifies it
        return Diagnostic(suite.name, gate.line, message)
    address = docs_page("reference/suite-keys", f"gates-{gate.kind}")
    return Diagnostic(suite.name, gate.line, f"{gate.kind}: {message}", address)
