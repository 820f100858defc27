"""Identity: whether a variant is what it claims to be, and whether a baseline has drifted."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import eq
from os.path import commonprefix
from typing import Any

from pytest_ftgate.errors import FtgateError, did_you_mean
from pytest_ftgate.gates.notes import IdentityNote, Note, NoteValue, note, text_note
from pytest_ftgate.gates.samples import Samples, align
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import (
    Reply,
    answered,
    received,
    without_date,
    wrong_model,
)
from pytest_ftgate.requests.request import Adapter, CaseRequest, Request
from pytest_ftgate.requests.request_groups import PROBE_STAGES
from pytest_ftgate.stats.proportions import mcnemar_midp
from pytest_ftgate.suite.formats import json_schema_validator
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.providers import provider_spec

#: With fewer replies, the identity checks are inconclusive.
MIN_COMPARED_REPLIES = 30
#: The significance level at which a variant counts as different from its base, in all stages.
_DIFFERENCE_ALPHA = 0.01

#: Stands for the end of a reply where texts are compared; no reply has it.
_END = "\0"

#: The fact that says in how many tokens a tuned variant and its base may think.
ROOM_FACT = "room to think"
#: Stands before the name of a family of skills in the fact of its level.
LEVEL_FACT = "level of "
#: Requests for cases, each with its case.
_Requests = Sequence[CaseRequest]
#: Fingerprint of a request -> its reply, or the error.
RequestResults = Mapping[str, Reply | FtgateError]


@dataclass(frozen=True, slots=True)
class IdentityResult:
    """The result of one identity check.

    Attributes:
        outcome: ``passed``, ``inconclusive`` (reported only) or ``invalid`` (blocks the gate).
        message: what the replies show; None if they show nothing that a reader must know.
    """

    outcome: Outcome
    message: Note | None = None


_PASSED = IdentityResult(Outcome.PASSED)


def _unproven(kind: IdentityNote, **values: NoteValue) -> IdentityResult:
    return IdentityResult(Outcome.INCONCLUSIVE, note(kind, **values))


def _invalid(kind: IdentityNote, **values: NoteValue) -> IdentityResult:
    return IdentityResult(Outcome.INVALID, note(kind, **values))


def compare_with_base(probes: Sequence[_Requests], results: RequestResults) -> IdentityResult:
    """Compare the free-text replies of a tuned variant with those of its base.

    Even greedy replies vary between runs: rounding in batched decoding changes a word, and the
    texts differ from there on. Two texts are therefore compared by their common prefix. For each
    case, the prefix of variant and base is compared with the prefix of two replies of the base. An
    adapter without effect makes either one longer equally often (one-sided sign test). The test may
    be made once for each stage of probes, so that the stages share its significance level.
    *probes* are requests for the same cases to the variant, to its base, and to its base again.
    """
    texts = [_texts_by_case(requests, results) for requests in probes]
    case_ids = sorted(set[str].intersection(*map(set, texts)))
    n = len(case_ids)
    tuned, base, repeated = ([by_case[case_id] for case_id in case_ids] for by_case in texts)
    agree, base_agrees = (sum(map(eq, replies, base)) for replies in (tuned, repeated))
    longer, shorter = _compare_prefixes(tuned, base, repeated)
    if mcnemar_midp(longer, shorter) <= _DIFFERENCE_ALPHA / len(PROBE_STAGES):
        return IdentityResult(Outcome.PASSED, note(IdentityNote.PROVEN, differ=n - agree, of=n))
    if n < MIN_COMPARED_REPLIES:
        few = _unproven(IdentityNote.FEW_REPLIES, count=n, needed=MIN_COMPARED_REPLIES)
        return _unanswered(probes, results, recorded=False) or few
    counts = {"agree": agree, "of": n, "base_agrees": base_agrees}
    if 2 * base_agrees < n:
        # A base whose replies mostly vary, for example by sampling, can hide a real difference.
        return _unproven(IdentityNote.BASE_VARIES, **counts)
    request = probes[0][0].request
    return _invalid(_same_kind(request), **counts, model=request.model)


def _same_kind(request: Request) -> IdentityNote:
    """Return why the replies of variant and base may be the same."""
    spec = provider_spec(request.provider)
    if spec.any_server:
        return IdentityNote.SAME_BY_SERVER
    if request.adapter is not None:
        return IdentityNote.SAME_BY_ADAPTER
    return IdentityNote.SAME_BY_FILES if spec.weights else IdentityNote.SAME_BY_HOST


def _compare_prefixes(
    tuned: Sequence[str], base: Sequence[str], repeated: Sequence[str]
) -> tuple[int, int]:
    """Return on how many cases the variant shares more, or less, with the base than the base."""
    differences = [
        _common_length(tuned_text, base_text) - _common_length(repeated_text, base_text)
        for tuned_text, base_text, repeated_text in zip(tuned, base, repeated, strict=True)
    ]
    return sum(more > 0 for more in differences), sum(more < 0 for more in differences)


def compare_with_recorded_base(
    probes: Sequence[_Requests], results: RequestResults
) -> IdentityResult:
    """Compare the replies of a tuned variant with recorded replies of its base.

    The base cannot be requested again, so its own variation is unknown and nothing is proven. If
    all replies are equal, the variant is the base. *probes* are requests for the same cases to the
    variant, and recorded requests to its base.
    """
    tuned, base = (_texts_by_case(requests, results) for requests in probes)
    case_ids = set(tuned) & set(base)
    agree = sum(tuned[case_id] == base[case_id] for case_id in case_ids)
    counts = {"agree": agree, "of": len(case_ids)}
    if len(case_ids) >= MIN_COMPARED_REPLIES and agree == len(case_ids):
        return _invalid(IdentityNote.SAME_AS_RECORDED, **counts)
    few = len(case_ids) < MIN_COMPARED_REPLIES
    silent = _unanswered(probes, results, recorded=True) if few else None
    return silent or _unproven(IdentityNote.BASE_RECORDED, **counts)


def _texts_by_case(case_requests: _Requests, results: RequestResults) -> dict[str, str]:
    """Return the answers by case; an empty reply shows nothing about the model behind it."""
    texts = (
        (case_request.case.id, reply.text.strip())
        for case_request, reply in answered(case_requests, results)
    )
    return {case_id: text for case_id, text in texts if text}


def _unanswered(
    probes: Sequence[_Requests], results: RequestResults, *, recorded: bool
) -> IdentityResult | None:
    """Return why replies without an answer show nothing; None if few have none.

    A case counts if any of its replies has no answer.
    """
    replies = [pair for requests in probes for pair in answered(requests, results)]
    count = len({case_request.case.id for case_request, _ in replies})
    silent = {request.case.id: reply for request, reply in replies if not reply.text.strip()}
    if 2 * len(silent) <= count:
        return None
    values: dict[str, NoteValue] = {"of": count, "recorded": recorded}
    cut_off = [reply for reply in silent.values() if reply.has_no_answer]
    if 2 * len(cut_off) <= len(silent):
        return _unproven(IdentityNote.EMPTY_REPLIES, count=len(silent), **values)
    values["count"] = len(cut_off)
    if 2 * sum(reply.thinks for reply in cut_off) <= len(cut_off):
        return _unproven(IdentityNote.CUT_OFF_REPLIES, **values)
    switch = provider_spec(probes[0][0].request.provider).thought_switch
    return _unproven(IdentityNote.CUT_OFF_THOUGHTS, switch=switch, **values)


def _common_length(text: str, base_text: str) -> int:
    # The end counts too: a reply that goes on where the base's ends differs from it.
    ended = [f"{text}{_END}", f"{base_text}{_END}"]
    return len(commonprefix(ended))  # noqa: RUF071 - the unit is the character


#: The largest share of complete replies that break an enforced schema; engines make rare errors.
_MAX_BROKEN_SHARE = 0.05
#: Schema keywords that a server need not enforce: servers promise the structure only.
_UNENFORCED_KEYWORDS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength"),
    *("maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems", "minProperties"),
    *("maxProperties", "contains", "default"),
)
#: With fewer repeated replies, the seed check passes.
_MIN_REPEATED = 5
#: Settings that a tool replaces, which the model must use, if a server rejects them.
_REPLACED = ("output_config", "response_format")
#: Keywords that become stricter if the bounds inside them are removed.
_INVERTING_KEYWORDS = ("not", "if", "then", "else")
_LOOSER_KEYWORDS = {"oneOf": "anyOf"}
#: Keywords whose keys are names, not keywords.
_NAME_KEYWORDS = ("properties", "patternProperties", "$defs", "definitions")


def check_served_model(case_requests: _Requests, results: RequestResults) -> IdentityResult:
    """Compare the model that the server reports with the declared model.

    The check passes if the server reports no model, as some local servers do. All requests are to
    one model.
    """
    request = case_requests[0].request
    declared = request.served_model or request.model
    served = {reply.model for _, reply in received(case_requests, results) if reply.model}
    if not declared or declared.startswith("arn:"):
        return _PASSED
    mismatches = sorted({wrong_model(request, model) for model in served} - {""})
    return IdentityResult(Outcome.INVALID, text_note(mismatches[0])) if mismatches else _PASSED


def check_parent_model(
    base: str, case_requests: _Requests, results: RequestResults
) -> IdentityResult:
    """Compare the parent that the server lists for a tuned model with the declared *base*."""
    replies = [reply for _, reply in received(case_requests, results)]
    parents = {reply.facts.get("parent", "") for reply in replies} - {""}
    mismatches = sorted(name for name in parents if without_date(name) != without_date(base))
    if mismatches:
        return _invalid(IdentityNote.OTHER_PARENT, parent=mismatches[0], base=base)
    return _PASSED


def check_constraint(case_requests: _Requests, results: RequestResults) -> IdentityResult:
    """Check that the server enforced the schema or the labels that one variant requested.

    A reply that was cut off counts as broken if no whole reply begins as it does.
    """
    held = (case_request for case_request in case_requests if case_request.request.constraint)
    rules = {"end": meets_constraint, "length": begins_constraint}
    replies = [pair for pair in answered(held, results) if pair[1].stop in rules]
    kept = [rules[reply.stop](one.request, reply.text) for one, reply in replies]
    broken, total = kept.count(False), len(kept)
    is_whole = all(reply.stop == "end" for _, reply in replies)
    counts = {"broken": broken, "of": total, "whole": is_whole}
    if broken > _MAX_BROKEN_SHARE * total:
        return _invalid(IdentityNote.IGNORED_SCHEMA, **counts)
    return _unproven(IdentityNote.BROKEN_SCHEMA, **counts) if broken else _PASSED


def begins_constraint(request: Request, text: str) -> bool:
    """Return False if no reply that meets the constraint of *request* begins with *text*."""
    constraint, start = request.constraint or {}, text.strip()
    if "choice" in constraint:
        # A server without a choice returns an object with the label.
        return start.startswith("{") or any(
            label.startswith(start) for label in constraint["choice"]
        )
    opening = {"object": "{", "array": "["}.get(constraint["json_schema"].get("type"), "")
    return not start or start.startswith(opening)


def meets_constraint(request: Request, text: str) -> bool:
    """Return True if *text* meets the schema or the labels of *request*, as servers hold them."""
    constraint = request.constraint or {}
    if "choice" in constraint:
        return text.strip() in constraint["choice"]
    validator = json_schema_validator(json.dumps(_enforced_part(constraint["json_schema"])))
    try:
        return bool(validator.is_valid(json.loads(text)))
    except (ValueError, RecursionError):
        return False


def _enforced_part(schema: Any, *, keys_are_names: bool = False) -> Any:
    """Return *schema* without the keywords that a server need not enforce."""
    if isinstance(schema, list):
        return [_enforced_part(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    enforced = {
        key: value
        if key in ("enum", "const")
        else _enforced_part(value, keys_are_names=key in _NAME_KEYWORDS)
        for key, value in schema.items()
        if keys_are_names or key not in (*_UNENFORCED_KEYWORDS, *_INVERTING_KEYWORDS)
    }
    if keys_are_names:
        return enforced
    # Branches of oneOf that differ in a bound only overlap without the bound.
    return {_LOOSER_KEYWORDS.get(key, key): value for key, value in enforced.items()}


#: The most skills that a message names, and the most characters of one.
_MAX_SKILLS, _MAX_SKILL = 5, 40


def check_uses(skill: str, case_requests: _Requests, results: RequestResults) -> IdentityResult:
    """Check that a run used *skill*, of those runs whose trace says which skills they read."""
    runs = [reply.run for _, reply in received(case_requests, results)]
    traced = [run.uses for run in runs if run and run.uses is not None]
    if not runs:
        return _PASSED
    if not traced:
        return _unproven(IdentityNote.USE_UNKNOWN, skill=skill, of=len(runs))
    # A plugin may stand before the name: ``office:pdf``.
    used = sum(any(skill in (name, name.rpartition(":")[2]) for name in uses) for uses in traced)
    counts: dict[str, NoteValue] = {"skill": skill, "of": len(traced)}
    if used:
        untraced = len(runs) - len(traced)
        return _unproven(IdentityNote.SKILL_USED, **counts, used=used, untraced=untraced)
    others = Counter(name[:_MAX_SKILL] for uses in traced for name in {*uses})
    named = tuple(f"{name} ({n:,})" for name, n in others.most_common(_MAX_SKILLS))
    hint = did_you_mean(skill, others)
    return _invalid(IdentityNote.SKILL_UNUSED, **counts, others=named, hint=hint)


def check_temperature(case_requests: _Requests, results: RequestResults) -> IdentityResult:
    """Check that a temperature above 0 has an effect: some repeats of a case differ."""
    texts_by_case: dict[str, list[str]] = defaultdict(list)
    for case_request, reply in answered(case_requests, results):
        request = case_request.request
        if request.sampling.get("temperature") and request.constraint is None:
            texts_by_case[case_request.case.id].append(reply.text)
    # A short label is the same at every temperature. Only longer texts show the sampling.
    repeats = [
        texts
        for texts in texts_by_case.values()
        if len(texts) > 1 and len(texts[0].split()) > 4  # noqa: PLR2004
    ]
    if len(repeats) >= MIN_COMPARED_REPLIES and all(len(set(texts)) == 1 for texts in repeats):
        declared = case_requests[0].request.sampling["temperature"]
        return _unproven(IdentityNote.NO_TEMPERATURE, temperature=declared, cases=len(repeats))
    return _PASSED


def check_seed(
    case_requests: _Requests, repeated_requests: _Requests, results: RequestResults
) -> IdentityResult:
    """Check that a seed has an effect: some replies with the same seed are equal.

    *repeated_requests* are *case_requests* with the same seed, in the same order.
    """
    pairs = [
        (first.text, second.text)
        for case_request, repeated in zip(case_requests, repeated_requests, strict=True)
        if isinstance(first := results.get(case_request.fingerprint), Reply)
        and isinstance(second := results.get(repeated.fingerprint), Reply)
    ]
    if len(pairs) < _MIN_REPEATED or any(first == second for first, second in pairs):
        return _PASSED
    seed = case_requests[0].request.sampling["seed"]
    return _unproven(IdentityNote.NO_SEED, seed=seed, requests=len(pairs))


def server_notices(
    case_requests: _Requests, results: RequestResults, declared: Collection[str]
) -> Iterator[IdentityResult]:
    """Yield the settings that the server rejects, and the retirement date of the model.

    Notices never block a gate. Rejected settings that the suite has not *declared* are ignored.
    """
    replies = [reply for _, reply in received(case_requests, results)]
    model = case_requests[0].request.model if case_requests else ""
    for setting in sorted({name for reply in replies for name in reply.unsent}):
        if setting in declared:
            kind = IdentityNote.REPLACED if setting in _REPLACED else IdentityNote.REJECTED
            yield _unproven(kind, model=model, setting=setting)
    for date in sorted({reply.facts["retires"] for reply in replies if "retires" in reply.facts}):
        yield _unproven(IdentityNote.RETIRES, model=model, date=date)


def identity_facts(case_requests: _Requests, results: RequestResults) -> dict[str, str]:
    """Return the facts about one variant that the run record stores."""
    if not case_requests:
        return {}
    request = case_requests[0].request
    replies = [reply for _, reply in received(case_requests, results)]
    model = request.model
    if provider_spec(request.provider).weights:
        from pytest_ftgate.weights import weights_name

        # The folder of local weights matters on this machine only.
        model = weights_name(model)
    facts = {
        "provider": request.provider,
        "model": model,
        "address": request.shown_url,
        "API version": request.api_version or "",
        "served as": ", ".join(sorted({reply.model for reply in replies if reply.model})),
        "sampling": ", ".join(f"{key} {value}" for key, value in request.sampling.items()),
        "extra": json.dumps(request.extra, sort_keys=True) if request.extra else "",
        "not taken": ", ".join(sorted({name for reply in replies for name in reply.unsent})),
    }
    if request.adapter:
        facts |= _facts_of_adapter(request.adapter)
    for reply in replies:
        facts |= reply.facts
    return {key: value for key, value in facts.items() if value}


def _facts_of_adapter(adapter: Adapter) -> dict[str, str]:
    from pytest_ftgate.adapters.lora import adapter_facts

    name = f"{adapter.path.name} x {adapter.scale:g}"
    facts = adapter_facts(adapter.path, adapter.sha256, adapter.scale)
    return {"adapter": name, "adapter sha256": adapter.sha256, **facts}


#: The drift check repeats one case in *_CASES_PER_REPEAT*, and at least *_MIN_REPEATED_CASES*.
_CASES_PER_REPEAT = 10
_MIN_REPEATED_CASES = 20
#: The probability that a baseline without drift is reported as drifted.
_DRIFT_ALPHA = 0.01
#: A score above this counts as right.
_RIGHT_ABOVE = 0.5


def drift_case_ids(cases: tuple[Case, ...]) -> frozenset[str]:
    """Return the ids of the cases to repeat for the drift check, evenly spread over the file."""
    scored = [case.id for case in cases if case.is_scorable or case.format]
    count = min(len(scored), max(_MIN_REPEATED_CASES, len(scored) // _CASES_PER_REPEAT))
    return frozenset(scored[i * len(scored) // count] for i in range(count))


def drift_note(before: Samples, after: Samples) -> Note | None:
    """Return how a baseline has drifted between two samples of the same cases, if it has.

    The test is McNemar's mid-p, two-sided at 0.01. Scores are reduced to right and wrong.
    """
    before, after = align(before, after)
    both = before.has_reply & after.has_reply
    was_right, is_right = before.values[both] > _RIGHT_ABOVE, after.values[both] > _RIGHT_ABOVE
    fixed, regressed = int((is_right & ~was_right).sum()), int((was_right & ~is_right).sum())
    p = 2.0 * min(mcnemar_midp(fixed, regressed), mcnemar_midp(regressed, fixed))
    if p > _DRIFT_ALPHA:
        return None
    return note(
        IdentityNote.BASELINE_DRIFTED,
        before=float(was_right.mean()),
        after=float(is_right.mean()),
        cases=int(both.sum()),
    )
