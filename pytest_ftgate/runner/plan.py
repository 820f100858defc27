"""The plan of a run: its requests and the power of its gates, without sending anything."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from statistics import mean

from pytest_ftgate.adapters.lora import CONFIG_FILE, adapter_facts, adapter_sha256, scale_of_file
from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client.budget import JUDGE_LABEL
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.design import Look, build_checks, checks_by_gate, design_of, guess_rate
from pytest_ftgate.gates.feasibility import default_limit_problem, lacks_limit, limit_of_cases
from pytest_ftgate.gates.kinds import pools_inputs
from pytest_ftgate.gates.measures import pairs_of_scores, rate_of_scores
from pytest_ftgate.gates.needs import When, replies_of
from pytest_ftgate.gates.power import (
    PowerEstimate,
    assumed_discordance,
    build_odds,
    build_power,
    coarse_limit,
    estimate_minimum_power,
    estimate_power,
)
from pytest_ftgate.providers.recorded import RecordedReplies
from pytest_ftgate.reporting.ladder import coverage_gap_lines
from pytest_ftgate.reporting.notes import note_text, notes_text
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.requests.api_keys import KeyUse, key_use
from pytest_ftgate.requests.estimate import EstimateRange, ReplyHistory, estimate_requests
from pytest_ftgate.requests.judges import JudgeRequest
from pytest_ftgate.requests.preflight import (
    Contamination,
    find_contamination,
    find_skill_contamination,
    lint,
    thought_warning,
)
from pytest_ftgate.requests.reply import Reply, answered, read_reply
from pytest_ftgate.requests.request import CaseRequest, Request, distinct_requests
from pytest_ftgate.requests.request_groups import (
    base_variant,
    more_replies_vary,
    side_repeats,
)
from pytest_ftgate.runner.planner import GateRun, full_look, runs_in_blocks
from pytest_ftgate.runner.probe import leveled_skills
from pytest_ftgate.runner.recommend import coverage_gaps
from pytest_ftgate.runner.scores import label_input
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.score import ContentScore
from pytest_ftgate.scoring.scorers import is_refused_or_truncated
from pytest_ftgate.scoring.scores import VariantScores, score_replies
from pytest_ftgate.suite.gate_kinds import compares_skills, is_rate, skills_gate
from pytest_ftgate.suite.model import Case, Gate, Suite, Variant
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.skill_levels import levels_note, possible_cases

#: The length in characters of a stand-in for a missing reply, if its request allows as much.
_STAND_IN_LENGTH, _CHARACTERS_PER_TOKEN = 400, 4

_Requests = tuple[CaseRequest, ...]
#: A row of the plan: the name of a suite, and that of a variant or of what stands for the judges.
_Row = tuple[str, str]


def cached_replies(session: Session, suite: Suite, variant: Variant) -> list[tuple[Case, str]]:
    """Return the complete cached replies of *variant*, each with its case."""
    case_requests = session.built.task(suite, variant, full_look(suite))
    replies = known_replies(session, variant.name, case_requests, only_cached=True)
    return [
        (case_request.case, reply.text)
        for case_request, reply in answered(case_requests, replies)
        if not is_refused_or_truncated(reply, case_request.case)
    ]


def judge_requests(
    session: Session, suite: Suite, sides: Mapping[str, Sequence[CaseRequest]], *, only_cached: bool
) -> list[Request]:
    """Return the requests to the judges of *suite* about its labels and the replies of *sides*.

    *sides* are the requests of each variant. Requests about replies that a run has yet to bring are
    included unless *only_cached*.

    Raises:
        FtgateError: the requests to a judge cannot be built.
    """
    if not suite.judges:
        return []
    groups = chain(
        _label_requests(session, suite),
        _reply_requests(session, suite, sides, only_cached=only_cached),
    )
    case_requests = (request.case_request for request in chain.from_iterable(groups))
    return [*distinct_requests(case_requests)]


def _label_requests(session: Session, suite: Suite) -> Iterator[Sequence[JudgeRequest]]:
    for prompter, labels, padded in session.judges.validation_labels(suite):
        yield from (prompter.requests(label_input(label)) for label in labels)
        yield from (prompter.requests(label_input(label, times=2)) for label in padded)


def _reply_requests(
    session: Session, suite: Suite, sides: Mapping[str, Sequence[CaseRequest]], *, only_cached: bool
) -> Iterator[Sequence[JudgeRequest]]:
    known = partial(known_replies, session, only_cached=only_cached)
    for variant, requests in sides.items():
        case_requests = tuple(requests)
        baseline_requests = session.judges.baseline_requests(suite, case_requests)
        baseline_replies = known(suite.baseline, baseline_requests)
        replies = known(variant, case_requests)
        entries = session.judges.judge_requests(suite, case_requests, replies, baseline_replies)
        for _, _, requests_or_score in entries:
            if not isinstance(requests_or_score, ContentScore):
                yield requests_or_score


def known_replies(
    session: Session, variant: str, case_requests: _Requests, *, only_cached: bool
) -> Mapping[str, Reply]:
    """Return the cached and recorded replies, and unless *only_cached* stand-ins for others."""
    cached = session.replies.cached_replies({one.fingerprint for one in case_requests})
    replies = {}
    with RecordedReplies() as recorded:
        for case_request in case_requests:
            request = case_request.request
            reply = cached.get(request.fingerprint) or _recorded_reply(recorded, request)
            if reply is None and not only_cached:
                reply = _stand_in(variant, case_request)
            if reply is not None:
                replies[request.fingerprint] = reply
    return replies


def _recorded_reply(recorded: RecordedReplies, request: Request) -> Reply | None:
    result = recorded.reply_or_error(request) if request.replies else None
    return result if isinstance(result, Reply) else None


def _stand_in(variant: str, case_request: CaseRequest) -> Reply:
    """Return a typical reply with a text that no other request has."""
    max_length = _CHARACTERS_PER_TOKEN * case_request.request.max_tokens
    text = f"{variant} {case_request.case.id} {case_request.repeat} "
    return Reply(text=text.ljust(min(_STAND_IN_LENGTH, max_length), "x"))


def estimate_variants(
    session: Session, gates: Sequence[GateRun], told: Collection[str] = ()
) -> tuple[list[EstimateRange], list[str]]:
    """Return the estimated requests of each variant, and the errors of the other variants.

    Errors that were *told* are left out.
    """
    by_variant, errors = _least_and_most(session, gates)
    every_request = [request for _, most in by_variant.values() for request in most]
    cache, is_fresh = session.replies.open_cache(), session.settings.replies == "fresh"
    fingerprints = (request.fingerprint for request in every_request)
    cached = cache.replies(fingerprints, this_run=is_fresh)
    concurrency = session.settings.concurrency
    estimates = []
    for (_, variant), sides in by_variant.items():
        requests = sides[-1]
        known = {*cached, *(request.fingerprint for request in requests if request.replies)}
        history = _reply_history(requests, every_request, cached, cache)
        least, most = (
            estimate_requests(variant, side, known, history, concurrency) for side in sides
        )
        keys, refused = _keys(session, requests)
        most = replace(most, keys=tuple((key.name, key.host) for key in keys))
        estimates.append(EstimateRange(least, most))
        errors += [(variant, message) for message in refused]
    cache.close()
    lines = {f"{name}: {message}": message for name, message in errors}
    return estimates, [line for line, message in lines.items() if not {line, message} & {*told}]


def _keys(session: Session, requests: Iterable[Request]) -> tuple[list[KeyUse], list[str]]:
    """Return the keys that *requests* carry, and the errors of those that must not be sent."""
    uses = filter(None, (key_use(request, os.environ) for request in requests))
    errors = {use: session.replies.key_error(use) for use in dict.fromkeys(uses)}
    sent = [use for use, message in errors.items() if not message]
    return sent, [*filter(None, errors.values())]


def _least_and_most(
    session: Session, gates: Sequence[GateRun]
) -> tuple[dict[_Row, tuple[list[Request], list[Request]]], list[tuple[str, str]]]:
    """Return the requests that each variant adds, and the errors of the other variants.

    They are those that a run sends at least, and at most. A request that several variants share
    belongs to the first of those that surely send it.
    """
    seen, errors = set[str](), list[tuple[str, str]]()
    by_row: dict[_Row, tuple[list[Request], list[Request]]] = {}
    for most in (False, True):
        for row, requests in _rows(session, gates, errors, most=most):
            new = [request for request in requests if request.fingerprint not in seen]
            seen.update(request.fingerprint for request in new)
            least = by_row[row][0] if most and row in by_row else []
            by_row[row] = (least, [*least, *new]) if most else (new, new)
    return by_row, errors


def _rows(
    session: Session, gates: Sequence[GateRun], errors: list[tuple[str, str]], *, most: bool
) -> Iterator[tuple[_Row, Iterable[Request]]]:
    """Yield the rows of the plan with their requests; *errors* of the others are added to it."""
    for suite, variant in _planned_variants(gates):
        try:
            groups = _groups_of(session, gates, suite, variant, most=most)
            yield (suite.name, variant.name), distinct_requests(chain.from_iterable(groups))
        except FtgateError as error:
            errors.append((variant.name, str(error)))
    suites = {gate_run.suite.name: gate_run.suite for gate_run in gates}
    graded = {gate_run.suite.name for gate_run in gates if gate_run.is_graded}
    for suite in suites.values():
        if most and suite.holdout and not suite.only_for:
            yield (suite.name, "held out"), _held_out_requests(session, suite)
        if suite.name not in graded:
            continue
        try:
            sides = _graded_requests(session, gates, suite, most=most)
            if judged := judge_requests(session, suite, sides, only_cached=False):
                yield (suite.name, JUDGE_LABEL), judged
        except FtgateError as error:
            errors.append((JUDGE_LABEL, str(error)))


def _held_out_requests(session: Session, suite: Suite) -> Sequence[Request]:
    """Return the requests for the held-out cases, of the variant whose replies may be longest.

    They confirm the rung that the ladder chooses, whichever that is.
    """
    held_out, found = suite.holdout_suite, list[tuple[Request, ...]]()
    for variant in suite.variants.values():
        # The estimates report the error of a variant that cannot be planned.
        with suppress(FtgateError):
            case_requests = session.built.task(held_out, variant, full_look(held_out))
            found.append(distinct_requests(case_requests))
    return max(found, key=_most_tokens, default=())


def _most_tokens(requests: Iterable[Request]) -> int:
    return sum(request.max_tokens for request in requests if request.case is None)


def _look(session: Session, gate_run: GateRun, *, most: bool) -> Look:
    """Return the last look of *gate_run*, or the first one that may end it."""
    looks = gate_run.looks
    # A run that is accepted asks all cases.
    is_whole = most or (session.settings.accept and looks[-1].cases is not None)
    return looks[-1] if is_whole else looks[0]


def _groups_of(
    session: Session, gates: Sequence[GateRun], suite: Suite, variant: Variant, *, most: bool
) -> list[_Requests]:
    """Return the requests of the variant's gates; an ungated variant has its regular requests."""
    from pytest_ftgate.runner.identity import planned_drift_requests  # imports SciPy

    # Compared by name: each marked function has its own suite object of the same name.
    name = (suite.name, variant.name)
    gate_runs = [run for run in gates if (run.suite.name, run.variant.name) == name]
    groups: list[_Requests] = []
    for run in gate_runs:
        look = _look(session, run, most=most)
        groups += session.most(run) if most else session.groups(run, look)
        groups += [planned_drift_requests(session, run)] if most else []
    only_data = bool(gate_runs) and not any(run.sends_requests for run in gate_runs)
    if groups or only_data:
        return groups
    if variant.tuned and not variant.gated:
        stages = session.probe.plan(suite, variant).probe_stages
        groups += stages[-1 if most else 0]
    in_blocks = runs_in_blocks(suite, ladder=session.settings.ladder)
    look = _look(session, in_blocks[0], most=most) if in_blocks else full_look(suite)
    return [*groups, session.built.task(suite, variant, look)]


def _graded_requests(
    session: Session, gates: Sequence[GateRun], suite: Suite, *, most: bool
) -> dict[str, list[CaseRequest]]:
    """Return for each variant the requests whose replies the judges of *suite* grade."""
    found = {
        variant.name: [*session.built.task(suite, variant, full_look(suite))]
        for owner, variant in _planned_variants(gates)
        if owner.name == suite.name and not variant.gated
    }
    for run in gates:
        if run.suite.name != suite.name or not run.is_graded:
            continue
        for need in map(replies_of, run.needs(_look(session, run, most=most))):
            if need.graded and (need.when is When.ALWAYS or (most and need.when is When.IF_WRONG)):
                found.setdefault(need.variant, []).extend(session.plan(run).requests(need))
    return found


def _reply_history(
    requests: Sequence[Request],
    every_request: Iterable[Request],
    cached: Mapping[str, Reply],
    cache: Cache,
) -> ReplyHistory:
    """Return the mean length and time of earlier replies.

    These are replies to the same requests, else replies of the same model in this plan, else any
    cached replies of a model with this name.
    """
    if not requests:
        return ReplyHistory()
    model = (requests[0].provider, requests[0].model)
    same_model = (one for one in every_request if (one.provider, one.model) == model)
    replies = (
        _cached_of(requests, cached)
        or _cached_of(same_model, cached)
        or cache.latest_of_model(requests[0].model)
    )
    tokens = [reply.usage["output"] for reply in replies if reply.usage.get("output")]
    seconds = [reply.seconds for reply in replies if reply.seconds]
    return ReplyHistory(
        output_tokens=mean(tokens) if tokens else None, seconds=mean(seconds) if seconds else None
    )


def _cached_of(requests: Iterable[Request], cached: Mapping[str, Reply]) -> list[Reply]:
    return [cached[request.fingerprint] for request in requests if request.fingerprint in cached]


def variant_lines(session: Session, gates: Sequence[GateRun]) -> Iterator[str]:
    """Yield the lines about single variants: their identity, and likely mistakes in them."""
    yield from turn_lines(gates)
    yield from identity_lines(session, gates)
    yield from level_lines(session, gates)
    yield from lint_lines(session, gates)


def turn_lines(gates: Sequence[GateRun]) -> Iterator[str]:
    """Yield a line on the variants that may send more requests than the plan can count."""
    variants = (one for _, one in _planned_variants(gates) if one.tools and one.max_turns > 1)
    calling = [f"{one.name} (up to {one.max_turns} a case)" for one in variants]
    names = [*calling, *(run.name for run in gates if not run.planned)]
    if names:
        yield f"  more: later turns are not counted: {', '.join(dict.fromkeys(names))}"


def identity_lines(session: Session, gates: Sequence[GateRun]) -> Iterator[str]:
    """Yield one line for each tuned variant: the requests that show that it is tuned."""
    # Of a gate that sends requests: others show nothing.
    runs = {(run.suite.name, run.variant.name): run for run in gates if run.sends_requests}
    for name, run in ((run.variant.name, run) for run in runs.values()):
        # The estimates report the error of a variant that cannot be planned.
        with suppress(FtgateError):
            plan = session.plan(run)
            if first := len(plan.identity_probes(run)):
                most = sum(map(len, plan.probe_stages[-1]))
                more = f", at most {most:,}" if most > first else ""
                counts = f"{first:,} of the requests{more}"
                yield f"  identity: {name} is first compared with its base: {counts}"


def level_lines(session: Session, gates: Sequence[GateRun]) -> Iterator[str]:
    """Yield the levels of skills of each variant, and how they are chosen."""
    for run in gates:
        name = run.variant.name
        # The estimates report the error of a variant that cannot be planned.
        with suppress(FtgateError):
            if run.gate is skills_gate(run.suite) and leveled_skills(run.suite):
                plan = session.plan(run)
                choices = plan.facts.levels
                yield f"  skills: {name}: {levels_note(choices)}"
                if any(choice.is_assumed for choice in choices):
                    yield (
                        f"  skills: the base of {name} chooses the levels by {len(plan.pilot):,} "
                        "pilot requests of the above, which are sent first"
                    )


def lint_lines(session: Session, gates: Sequence[GateRun]) -> Iterator[str]:
    """Yield one line for each likely mistake in the variants of *gates*."""
    variants_by_message: dict[tuple[str, str], list[str]] = {}
    for suite, variant in _planned_variants(gates):
        # The estimates report the error of a variant that cannot be planned.
        with suppress(FtgateError):
            case_requests = session.built.task(suite, variant, full_look(suite))
            found = chain(
                lint(variant, case_requests),
                _thought_warnings(session, suite, variant, case_requests),
            )
            for message in filter(None, found):
                key = (suite.name, message)
                variants_by_message.setdefault(key, []).append(variant.name)
    for (_, message), variants in variants_by_message.items():
        yield f"  lint: {', '.join(variants)}: {message}"


def _thought_warnings(
    session: Session, suite: Suite, variant: Variant, case_requests: _Requests
) -> Iterator[str]:
    """Yield whether a model that thinks is likely to be cut off, given its cached replies."""
    if not case_requests or not provider_spec(variant.provider).prompted:
        return
    limit = max(case_request.request.max_tokens for case_request in case_requests)
    known = known_replies(session, variant.name, case_requests, only_cached=True)
    replies = [reply for _, reply in answered(case_requests, known)]
    if not replies:
        cache = session.replies.open_cache()
        latest = cache.latest_of_model(variant.model)
        replies = [read_reply(reply, suite.reply.thoughts) for reply in latest]
        cache.close()
    yield thought_warning(variant, replies, limit)
    gate = skills_gate(suite)
    if gate and gate.max_tokens and gate.applies_to(variant):
        yield thought_warning(variant, replies, gate.max_tokens, "max_tokens of forgetting")


def _planned_variants(gates: Sequence[GateRun]) -> Iterator[tuple[Suite, Variant]]:
    """Yield the variants of the selected gates, and the ungated variants of their suites."""
    # No test of its own measures the ungated variants.
    shared = (gate_run for gate_run in gates if not gate_run.suite.only_for)
    suites = {gate_run.suite.name: gate_run.suite for gate_run in (*gates, *shared)}
    selected = {(gate_run.suite.name, gate_run.variant.name) for gate_run in gates}
    for suite in suites.values():
        for variant in suite.variants.values():
            if not variant.gated or (suite.name, variant.name) in selected:
                yield suite, variant


def contaminations(gates: Sequence[GateRun]) -> Iterator[Contamination]:
    """Yield the variants that were trained on cases of their suite or on skill cases."""
    of_tasks = (find_contamination(suite, variant) for suite, variant in _planned_variants(gates))
    of_skills = (
        find_skill_contamination(possible_cases(run.gate), run.variant)
        for run in gates
        if compares_skills(run.gate)
    )
    yield from filter(None, chain(of_tasks, of_skills))


def adapter_lines(gates: Sequence[GateRun]) -> Iterator[str]:
    """Yield the scale of the adapter of each variant that has one."""
    for _, variant in _planned_variants(gates):
        path = variant.adapter
        if path is not None:
            digest = adapter_sha256(path)
            facts, ratio = adapter_facts(path, digest, variant.scale), scale_of_file(path, digest)
            if "adapter scale" in facts:
                more = f", {ratio:.3g} times that of {CONFIG_FILE}" if ratio else ""
                yield f"  {variant.name}: adapter scale {facts['adapter scale']}{more}"


def coverage_lines(gates: Sequence[GateRun]) -> Iterator[str]:
    """Yield the coverage gaps of each suite, and its number of held-out cases."""
    suites = {gate_run.gate_suite.name: gate_run.gate_suite for gate_run in gates}
    for suite in suites.values():
        if suite.holdout:
            count = f"{quantity(len(suite.holdout), 'case')} more"
            yield f"  {count} of {suite.name}: held out, for the chosen rung only"
        yield from coverage_gap_lines(coverage_gaps(suite))


def power_estimates(session: Session, gates: Sequence[GateRun]) -> list[PowerEstimate]:
    """Return what each of *gates* can detect, given the cached replies.

    Cost and latency have no estimate: their gates compare them with the limits directly. Of the
    checkpoints of a training, those have one by which the build goes.
    """
    found = [
        ((gate_run.gate_suite.name, gate_run.variant.name), estimate)
        for gate_run in gates
        if gate_run.variant.decides
        for estimate in _estimates_of_gate(session, gate_run)
    ]
    return [
        replace(estimate, build=build_odds(one for other, one in found if other == build))
        for build, estimate in found
    ]


def limit_lines(gates: Sequence[GateRun]) -> Iterator[str]:
    """Yield a sentence on each gate whose limits show little, or nothing."""
    found = {(run.gate_suite.name, run.gate.name): (run.gate_suite, run.gate) for run in gates}
    has_several = len({suite for suite, _ in found}) > 1
    for suite, gate in found.values():
        note, of = _limit_note(suite, gate), f"{suite.name}: " if has_several else ""
        yield from [f"{of}{gate.name}: {note}"] if note else []


def _limit_note(suite: Suite, gate: Gate) -> str:
    """Return what the limits of *gate* leave out, or ""."""
    if is_rate(gate) and not gate.min and not gate.has_comparison and not gate.limits_drop:
        return "nothing can fail it; write a min: above 0"
    if gate.evidence == "point":
        return "the observed figure decides (evidence: point), without an allowance for chance"
    if lacks_limit(gate):
        problem = note_text(default_limit_problem(suite, gate)[0])
        return f"{problem}, so a drop is shown and not gated"
    coarse = coarse_limit(suite, gate, gate.max_drop or 0.0)
    return notes_text(coarse) if gate.has_default_limit else ""


def _estimates_of_gate(session: Session, gate_run: GateRun) -> Iterator[PowerEstimate]:
    """Yield the power of the check of the minimum, and of the drop check.

    A plain threshold has none: the observed figure decides.
    """
    gate, variant = gate_run.gate, gate_run.variant
    if gate.evidence == "point":
        return
    if gate.min:
        scores = _measurable_scores(session, gate_run, variant)
        measured = rate_of_scores(gate, scores) if scores else None
        design = design_of(gate_run.gate_suite, gate)
        estimate = estimate_minimum_power(gate, variant.name, design, measured)
        is_guess = gate.min < guess_rate(gate_run.suite, gate)
        yield replace(estimate, pass_probability=0.0, needed=None) if is_guess else estimate
    # Of inputs labels are planned, and not cases: see runner/labelling.py.
    if gate.max_drop is None or pools_inputs(gate_run.suite, gate, variant):
        return
    if is_rate(gate):
        limit = limit_of_cases(gate_run.gate_suite, gate)
        if limit is None:
            return
        gate_run = replace(gate_run, gate=replace(gate, max_drop=limit))
    checks = checks_by_gate(gate_run.gate_suite, variant)[gate.name]
    yield replace(_drop_estimate(session, gate_run), checks=checks)


def _drop_estimate(session: Session, gate_run: GateRun) -> PowerEstimate:
    suite, gate, variant = gate_run.suite, gate_run.gate, gate_run.variant
    count = gate_run.looks[-1].repeats
    reference = base_variant(variant) if gate.own_cases else suite.variants[suite.baseline]
    sides = (reference, variant)
    counts = [1 if gate.own_cases else side_repeats(side, count) for side in sides]
    estimate = partial(
        estimate_power,
        gate,
        variant.name,
        design_of(gate_run.gate_suite, gate, (counts[0], counts[1])),
        varies=any(map(more_replies_vary, sides)) and not gate.own_cases,
        power=build_power(build_checks(gate_run.gate_suite, gate_run.gate)),
    )
    assumed = assumed_discordance(suite)
    if variant is reference or not gate.compares(variant):
        return estimate(assumed)
    before, after = (_measurable_scores(session, gate_run, side) for side in sides)
    rate = rate_of_scores(gate, before) if before else None
    if rate and rate.rate - (gate.max_drop or 0.0) <= guess_rate(suite, gate):
        return estimate(None)
    if before is None or after is None:
        return estimate(assumed)
    return estimate(assumed, measured=pairs_of_scores(gate, before, after, of_runs=True))


def _measurable_scores(
    session: Session, gate_run: GateRun, variant: Variant
) -> VariantScores | None:
    """Return the scores of *variant* for a gate on rates, if all of its replies are known."""
    suite = gate_run.suite
    # Only a marked function can score its cached replies, and judges would take new requests.
    if not is_rate(gate_run.gate) or gate_run.function_suite or suite.judges:
        return None
    try:
        case_requests = session.built.task(suite, variant, full_look(suite))
    except FtgateError:
        return None
    replies = known_replies(session, variant.name, case_requests, only_cached=True)
    if not {case_request.fingerprint for case_request in case_requests} <= replies.keys():
        return None
    return score_replies(variant.name, case_requests, replies, suite.path.parent)
