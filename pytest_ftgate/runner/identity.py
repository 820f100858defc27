"""Identity of the variants behind a gate, and repeated baseline requests."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_ftgate.gates.design import Look
from pytest_ftgate.gates.diagnosis import cause_steps, likely_causes, template_notes
from pytest_ftgate.gates.identity import (
    LEVEL_FACT,
    ROOM_FACT,
    IdentityResult,
    RequestResults,
    check_constraint,
    check_parent_model,
    check_seed,
    check_served_model,
    check_temperature,
    check_uses,
    compare_with_base,
    compare_with_recorded_base,
    identity_facts,
    server_notices,
)
from pytest_ftgate.gates.notes import IdentityNote, Note, text_note
from pytest_ftgate.gates.statements import (
    NextStep,
    Statement,
    StatementKind,
    StepKind,
    next_step,
)
from pytest_ftgate.gates.verdict import Outcome, Verdict, verdict_place
from pytest_ftgate.requests.reply import TEMPLATE_FACT
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.requests.request_groups import (
    Workload,
    base_variant,
    repeat_requests,
    same_seed_requests,
)
from pytest_ftgate.runner.planner import GateRun
from pytest_ftgate.runner.session import Session
from pytest_ftgate.suite.cases import equal_inputs
from pytest_ftgate.suite.gate_kinds import compares_skills, is_rate
from pytest_ftgate.suite.model import Suite, Variant
from pytest_ftgate.suite.providers import provider_spec

#: What a variant claims that is neither its model nor its adapter, by the reason that it is not
#: so, and the key that declares it.
_CLAIMED: Mapping[str, tuple[str, str]] = {
    IdentityNote.SKILL_UNUSED: ("skill", "uses"),
    IdentityNote.IGNORED_SCHEMA: ("schema", "response_schema"),
}


@dataclass(frozen=True, slots=True)
class IdentityReport:
    """What the replies to a gate show about the identity of its variant.

    Attributes:
        invalid_reason: why the variant is not what it claims to be; None if it may be.
        notes: what the replies could not show.
        facts: the facts about the variant, for the run record.
        causes: what is probably wrong if a gate about the variant fails.
        steps: what would show what the replies could not.
    """

    invalid_reason: Note | None
    notes: tuple[Note, ...]
    facts: Mapping[str, str]
    causes: tuple[Note, ...] = ()
    steps: tuple[NextStep, ...] = ()

    def add_to(self, verdict: Verdict) -> Verdict:
        """Return *verdict* with the notes and the facts; with the causes first, if it failed."""
        steps = tuple(cause_steps(verdict.outcome, self.causes))
        told = self.causes if steps else ()
        return replace(
            verdict,
            notes=(*verdict.notes, *(note for note in self.notes if note not in told)),
            facts={**verdict.facts, **self.facts},
            next=(*steps, *verdict.next, *self.steps),
        )

    def invalid_verdict(self, gate_run: GateRun, node: str = "") -> Verdict | None:
        """Return the verdict on a variant that is not what it claims to be; None if it may be.

        *node* is the id of the pytest test, for a marked function.
        """
        if self.invalid_reason is None:
            return None
        is_model = ("adapter" if gate_run.variant.tuned else "model", "")
        claims, key = _CLAIMED.get(self.invalid_reason.kind, is_model)
        place = gate_run.suite.places.get(f"variants.{gate_run.variant.name}.{key}", "")
        return Verdict(
            **verdict_place(gate_run.gate_suite, gate_run.gate, gate_run.variant.name),
            outcome=Outcome.INVALID,
            statement=Statement(StatementKind.INVALID, self.invalid_reason.values_with("reason")),
            node=node,
            next=(NextStep(StepKind.CHECK_IDENTITY, {"claims": claims, "where": place}),),
            facts=self.facts,
        )


def check_identity(
    session: Session,
    gate_run: GateRun,
    results: RequestResults,
    unplanned: Sequence[CaseRequest] = (),
) -> IdentityReport:
    """Return what the replies show about the identity of the variant and its reference.

    *results* are those of all requests, by fingerprint. *unplanned* are requests to the variant
    that are not part of the plan.

    Raises:
        FtgateError: the first replies do not show that a tuned model answered, and further ones
            did not come.
    """
    facts = _variant_facts(session, gate_run, results, unplanned)
    requests = _variant_requests(session, gate_run, unplanned)
    checks = [
        *_identities(session, gate_run, results, unplanned),
        *_uses(gate_run.variant, requests, results),
    ]
    report = replace(_report(checks, facts), steps=tuple(_uses_steps(gate_run.variant, checks)))
    if not gate_run.variant.tuned or not requests:
        return report
    return replace(report, causes=tuple(likely_causes(requests[0].request, facts)))


def check_tuned_identity(session: Session, gate_run: GateRun) -> IdentityReport:
    """Return whether a tuned variant differs from its base; the report of others is empty.

    Raises:
        FtgateError: as for check_identity.
    """
    suite, variant = gate_run.suite, gate_run.variant
    checks = [*tuned_identities(session, suite, variant)]
    probes = session.plan(gate_run).identity_probes(gate_run)
    return _report(checks, identity_facts(probes[-1:], session.replies.engine.results))


def wrong_model_report(session: Session, gate_run: GateRun, reason: str) -> IdentityReport:
    """Return the report on a variant, or what it is compared with, that another model answers."""
    results = session.replies.engine.results
    return IdentityReport(text_note(reason), (), _variant_facts(session, gate_run, results, ()))


def check_ungated_identity(
    session: Session,
    suite: Suite,
    variant: Variant,
    case_requests: Sequence[CaseRequest],
    results: RequestResults,
) -> IdentityReport:
    """Return what the replies show about the identity of a variant without gates.

    Raises:
        FtgateError: as for check_identity.
    """
    checks = [
        *reported_identities(variant, case_requests, results),
        *tuned_identities(session, suite, variant),
        *_uses(variant, case_requests, results),
    ]
    return _report(checks, identity_facts(case_requests, results))


def _uses(
    variant: Variant, case_requests: Sequence[CaseRequest], results: RequestResults
) -> Iterator[IdentityResult]:
    if variant.uses:
        yield check_uses(variant.uses, case_requests, results)


def _uses_steps(variant: Variant, checks: Sequence[IdentityResult]) -> Iterator[NextStep]:
    kinds = {check.message.kind for check in checks if check.message}
    if IdentityNote.USE_UNKNOWN in kinds:
        is_recorded = variant.replies is not None
        yield next_step(StepKind.RECORD_USES, skill=variant.uses or "", recorded=is_recorded)


def _report(checks: Sequence[IdentityResult], facts: Mapping[str, str]) -> IdentityReport:
    invalid = next((check.message for check in checks if check.outcome is Outcome.INVALID), None)
    unproven = [check.message for check in checks if check.outcome is Outcome.INCONCLUSIVE]
    notes = (*filter(None, unproven), *template_notes(facts))
    return IdentityReport(invalid, notes, facts)


def _identities(
    session: Session,
    gate_run: GateRun,
    results: RequestResults,
    unplanned: Sequence[CaseRequest],
) -> list[IdentityResult]:
    suite, variant = gate_run.suite, gate_run.variant
    found = [
        identity
        for case_requests in session.groups(gate_run)
        if case_requests
        for identity in _cached_identities(session, gate_run, case_requests)
    ]
    found += reported_identities(variant, unplanned, results) if unplanned else []
    found += tuned_identities(session, suite, variant)
    if is_rate(gate_run.gate) and gate_run.planned:
        first = session.built.task(suite, variant, gate_run.looks[0])
        found.append(check_seed(*same_seed_requests(first), results))
    return [identity for at, identity in enumerate(found) if identity not in found[:at]]


def _cached_identities(
    session: Session, gate_run: GateRun, case_requests: Sequence[CaseRequest]
) -> tuple[IdentityResult, ...]:
    """Return the reported identities, computed once for all gates of a variant."""
    key = (gate_run.suite.key, gate_run.variant.name, Workload.of(case_requests).key)
    if key not in session.identities:
        found = reported_identities(gate_run.variant, case_requests, session.replies.engine.results)
        session.identities[key] = tuple(found)
    return session.identities[key]


def reported_identities(
    variant: Variant, case_requests: Sequence[CaseRequest], results: RequestResults
) -> Iterator[IdentityResult]:
    """Yield what the replies report about their model and the settings of *variant*."""
    yield check_served_model(case_requests, results)
    yield check_constraint(case_requests, results)
    yield check_temperature(case_requests, results)
    settings = [*variant.sampling, "output_config", "response_format"]
    yield from server_notices(case_requests, results, settings)


def tuned_identities(session: Session, suite: Suite, variant: Variant) -> Iterator[IdentityResult]:
    """Yield whether a tuned variant differs from its base; nothing for an untuned variant."""
    if not variant.tuned or variant.is_proven:
        return
    stages = session.probe.plan(suite, variant).probe_stages
    compare = compare_with_base if variant.base_replies is None else compare_with_recorded_base
    for probes in stages:
        results = session.replies.checked_results(probes, suite.name)
        identity = compare(probes, results)
        if identity.outcome is Outcome.PASSED:
            break
    if identity.outcome is Outcome.PASSED:
        session.identities[suite.name, variant.name, ""] = (identity,)
    base = base_variant(variant)
    # A server may serve the base as well.
    is_beside = (base.base_url, base.base_url_env) == (variant.base_url, variant.base_url_env)
    if variant.base is not None and is_beside:
        yield check_parent_model(variant.base, probes[0], results)
    if _rests_on_files(variant, probes) and identity.outcome is Outcome.INVALID:
        identity = replace(identity, outcome=Outcome.INCONCLUSIVE)
    yield identity


def _rests_on_files(variant: Variant, probes: Sequence[Sequence[CaseRequest]]) -> bool:
    """Return True if variant and base are two files of weights, so that either one is loaded."""
    is_whole = bool(provider_spec(variant.provider).weights) and variant.adapter is None
    fingerprints = {group[0].fingerprint for group in probes[:2] if group}
    return is_whole and variant.base_replies is None and len(fingerprints) > 1


def _variant_facts(
    session: Session,
    gate_run: GateRun,
    results: RequestResults,
    unplanned: Sequence[CaseRequest],
) -> dict[str, str]:
    variant = gate_run.variant
    facts = session.plan(gate_run).facts
    same = equal_inputs(gate_run.gate.evaluated_cases(gate_run.gate_suite.cases))
    more = {"equal inputs": same} if same else {}
    more |= {ROOM_FACT: str(facts.room)} if facts.room else {}
    if compares_skills(gate_run.gate):
        more |= {f"{LEVEL_FACT}{one.family}": str(one.level or 0) for one in facts.levels}
    more |= _template_fact(session, gate_run.suite, variant)
    requests = _variant_requests(session, gate_run, unplanned)
    return identity_facts(requests, results) | more


def _template_fact(session: Session, suite: Suite, variant: Variant) -> dict[str, str]:
    """Return where the chat template of whole weights differs from that of their base."""
    if not variant.tuned or variant.is_proven or variant.adapter is not None:
        return {}
    probes = session.probe.plan(suite, variant).probe_stages[0]
    if not _rests_on_files(variant, probes):
        return {}
    from pytest_ftgate.adapters.chat_template import (
        TEMPLATE_OPTIONS,
        file_difference,
        weights_template,
    )

    tuned, base = (group[0].request for group in probes[:2])
    options = tuned.extra.get(TEMPLATE_OPTIONS, {})
    found = file_difference(Path(tuned.model), weights_template(Path(base.model)), options)
    return {TEMPLATE_FACT: found} if found else {}


def _variant_requests(
    session: Session, gate_run: GateRun, unplanned: Sequence[CaseRequest]
) -> Sequence[CaseRequest]:
    """Return the requests of a gate to its variant."""
    if not gate_run.planned:
        return unplanned
    return session.plan(gate_run).own_requests(gate_run)


#: The drift check is skipped if the baseline was recorded at most this long before the variant.
_RECENT_SECONDS = 86_400.0

_Requests = tuple[CaseRequest, ...]


def baseline_drift(session: Session, gate_run: GateRun, look: Look) -> Note | None:
    """Return how the baseline has drifted since it was recorded; None without a drift."""
    from pytest_ftgate.gates.identity import drift_note
    from pytest_ftgate.gates.samples import samples_from_scores

    old, repeated = drift_requests(session, gate_run, look)
    if not old:
        return None
    suite, baseline = gate_run.suite, gate_run.suite.variants[gate_run.suite.baseline]
    scores = [
        session.scores.score_requests(suite, baseline.name, name, case_requests)
        for name, case_requests in (("then", old), ("now", repeated))
    ]
    return drift_note(*(samples_from_scores(side, gate_run.gate.sample) for side in scores))


def drift_requests(session: Session, gate_run: GateRun, look: Look) -> tuple[_Requests, _Requests]:
    """Return a part of the baseline's requests and their repetitions; empty in most runs.

    If the baseline was recorded more than a day before the variant, a tenth of its requests is
    repeated. The repetitions belong to the run of the variant's replies: later runs reuse them.
    """
    suite, baseline = gate_run.suite, gate_run.suite.variants[gate_run.suite.baseline]
    if gate_run.variant is baseline or provider_spec(baseline.provider).deterministic:
        return (), ()
    key = (suite.key, suite.repeats, gate_run.variant.name, look)
    if key not in session.drift_requests:
        session.drift_requests[key] = _choose_drift_requests(session, gate_run, look)
    return session.drift_requests[key]


def planned_drift_requests(session: Session, gate_run: GateRun) -> _Requests:
    """Return the requests that a run repeats now if it asks the variant of *gate_run* now."""
    compares = is_rate(gate_run.gate) and gate_run.gate.compares(gate_run.variant)
    baseline = gate_run.suite.variants[gate_run.suite.baseline]
    if not compares or provider_spec(baseline.provider).deterministic or not gate_run.planned:
        return ()
    return _choose_drift_requests(session, gate_run, gate_run.looks[-1], (time.time(), "now"))[1]


def _choose_drift_requests(
    session: Session, gate_run: GateRun, look: Look, *planned: tuple[float, str]
) -> tuple[_Requests, _Requests]:
    from pytest_ftgate.gates.identity import drift_case_ids

    suite, baseline = gate_run.suite, gate_run.suite.variants[gate_run.suite.baseline]
    task_requests = session.built.task
    groups = [task_requests(suite, side, look) for side in (baseline, gate_run.variant)]
    chosen = task_requests(suite, baseline, Look(cases=drift_case_ids(suite.cases)))
    cache = session.replies.open_cache()
    then, now = (
        cache.origins(case_request.request.cache_key for case_request in group) for group in groups
    )
    cached = cache.replies(case_request.request.cache_key for case_request in chosen)
    cache.close()
    now = now or [*planned]
    old = tuple(one for one in chosen if one.request.cache_key in cached)
    if not then or not now or not old or now[-1][0] - then[0][0] < _RECENT_SECONDS:
        return (), ()
    return old, repeat_requests(old, now[-1][1])
