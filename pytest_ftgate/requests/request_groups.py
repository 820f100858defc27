"""The requests that a gate needs: for the suite's cases, for skills, and for identity checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self

from pytest_ftgate.errors import ConfigurationError, FtgateError
from pytest_ftgate.requests.builder import RequestBuilder
from pytest_ftgate.requests.request import CaseRequest, Request
from pytest_ftgate.suite.gate_kinds import skills_gate
from pytest_ftgate.suite.model import Case, Suite, Turn, Variant, digest
from pytest_ftgate.suite.providers import RECORDED, provider_spec, without_restrictions

#: The longest reply to a skill case that declares no limit, in tokens.
SKILL_TOKENS = 32
#: The tokens that a model which thinks has for its thought, besides those of its answer.
ROOM_TO_THINK = 2048
#: The most replies that show whether an adapter is active; see gates/identity.py.
PROBE_COUNT = 60
#: One in so many of them is requested in each stage, until the replies decide.
PROBE_STAGES = (4, 2, 1)
#: Scorers whose replies are short.
_SHORT_REPLIES = ("numeric", "exact", "code")
#: The number of requests that are repeated if a seed is declared.
_SEED_CHECKS = 10


class Workload(tuple[CaseRequest, ...]):  # noqa: SLOT001 - the key is cached in its __dict__
    """Requests to one variant, with a key under which a run stores what it did with them."""

    @classmethod
    def of(cls, case_requests: Iterable[CaseRequest]) -> Self:
        """Return *case_requests* as a workload: itself, if it is one."""
        return case_requests if isinstance(case_requests, cls) else cls(case_requests)

    @cached_property
    def key(self) -> str:
        """A digest of the fingerprints, in order, and of the models that must answer."""
        requests = [case_request.request for case_request in self]
        # A fingerprint leaves out what the server calls the model.
        models = {request.served_model or request.model for request in requests}
        return digest([[request.fingerprint for request in requests], sorted(models)])


def base_name(variant: Variant) -> str:
    """Return the name under which the replies of the base of *variant* are shown."""
    return f"base of {variant.name}"


def base_variant(variant: Variant) -> Variant:
    """Return the untuned model under *variant*, with the same settings, or its recording."""
    if variant.base_replies is not None:
        return _recorded_base(variant)
    model, tariff = variant.base or variant.model, variant.tariff
    # A list price belongs to the model's name; declared prices hold for both models.
    tariff = replace(tariff, model=model) if tariff.model == variant.model else tariff
    own_fields: dict[str, Any] = {
        "model": model,
        "tariff": tariff,
        "adapter": None,
        "served_model": None,
        # A revision of the tuned model says nothing about another one.
        "revision": variant.revision if variant.base is None else None,
    }
    return replace(
        variant,
        name=base_name(variant),
        base=None,
        base_fields={},
        gated=False,
        **{**own_fields, **variant.base_fields},
    )


def base_label(suite: Suite, variant: Variant) -> str:
    """Return what reports call the base of *variant*: ``base``, named where there are several."""
    bases = {_base_identity(one) for one in suite.variants.values() if one.tuned}
    return f"base {_base_identity(variant)[0]}" if len(bases) > 1 else "base"


def _base_identity(variant: Variant) -> tuple[str, ...]:
    """Return the name of the base of *variant*, and what tells it from others of this name."""
    # A suite without a fine-tune has no use for it.
    from pytest_ftgate.weights import weights_name

    base = base_variant(variant)
    if base.replies is not None:
        return base.replies.name, str(base.replies)
    return weights_name(base.model), base.model, str(base.base_url), str(base.base_url_env)


def _recorded_base(variant: Variant) -> Variant:
    return Variant(
        name=base_name(variant),
        line=variant.line,
        provider=RECORDED,
        model=variant.base or variant.model,
        system=variant.system,
        replies=variant.base_replies,
        gated=False,
    )


def replies_vary(variant: Variant) -> bool:
    """Return True if *variant* may answer a repeated request differently."""
    spec = provider_spec(variant.provider)
    if spec.recorded and variant.replies is not None:
        return bool(_repeated_replies(variant, variant.replies))
    return not spec.deterministic or bool(variant.sampling.get("temperature"))


def more_replies_vary(variant: Variant) -> bool:
    """Return True if further replies of *variant* may differ from those that there are.

    A file holds all that it can bring. A function of the project may draw lots, but mostly does
    not: to repeat it is no advice.
    """
    spec = provider_spec(variant.provider)
    return replies_vary(variant) and not (spec.recorded or spec.calls_code)


def _repeated_replies(variant: Variant, path: Path) -> Mapping[str, int]:
    """Return the number of recorded replies of each case that has several, by its id."""
    from pytest_ftgate.suite.external_cases import recorded_answers
    from pytest_ftgate.suite.training_data import count_repeated_replies

    try:
        answers = recorded_answers(path, variant.options)
    except FtgateError:
        # The requests that read the file say what is wrong with it.
        return {}
    if answers is None:
        return count_repeated_replies(path)
    return {key: len(rows) for key, rows in answers.items() if len(rows) > 1}


def side_repeats(variant: Variant, repeats: int) -> int:
    """Return the number of replies per case of *variant* where each variant has *repeats*."""
    return repeats if replies_vary(variant) else 1


def task_requests(
    suite: Suite, variant: Variant, environ: Mapping[str, str], repeats: int = 1
) -> tuple[CaseRequest, ...]:
    """Return the requests for the suite's cases, under the prompt of *variant*.

    The environment may hold addresses. There are *repeats* requests for each case, if replies vary.

    Raises:
        SuiteError: a template cannot be rendered for a case.
        ConfigurationError: weights, an address or a function are missing, the retrieval fails, or
            no input is sent.
    """
    builder = RequestBuilder(suite, variant, environ)
    repeats = repeats if replies_vary(variant) else 1
    counts = _repeated_replies(variant, variant.replies) if variant.replies else {}
    _require_read(suite, variant, counts)
    case_requests = tuple(
        CaseRequest(case, repeat, builder.build(case, builder.messages_for(case), repeat))
        for case in suite.cases
        for repeat in range(min(repeats, counts.get(case.id, 1)) if variant.replies else repeats)
    )
    _require_inputs(case_requests)
    return case_requests


def _require_read(suite: Suite, variant: Variant, counts: Mapping[str, int]) -> None:
    """Raise an error if the file of *variant* has more replies to a case than the suite reads.

    The newest could be among those that it does not read. *counts* are those of the file by case.

    Raises:
        ConfigurationError: it has.
    """
    # With repeats: auto the suite reads what it needs.
    if suite.repeats is None or variant.replies is None:
        return
    from pytest_ftgate.suite.external_cases import reply_columns

    # A table of another tool may hold several runs of a case, of which the first ones count.
    if reply_columns(variant.replies, variant.options) is not None:
        return
    settled = (gate.settle or 1 for gate in suite.gates.values())
    most = max(suite.repeats, *settled)
    case = next((case.id for case in suite.cases if counts.get(case.id, 1) > most), None)
    if case is not None:
        raise ConfigurationError(
            f"{variant.replies.name} has {counts[case]} replies to case {case}, and the suite "
            f"reads {most}: write repeats: {counts[case]}, or remove replies of other runs"
        )


def _require_inputs(case_requests: Sequence[CaseRequest]) -> None:
    """Raise an error if cases with different inputs all send the same request.

    Raises:
        ConfigurationError: they do.
    """
    first = [one for one in case_requests if one.repeat == 0]
    is_one = all(one.fingerprint == first[0].fingerprint for one in first)
    if is_one and len({(one.case.input, one.case.messages) for one in first}) > 1:
        raise ConfigurationError(
            f"all {len(first):,} cases send the same request, without their inputs: write "
            "{{ input }} in user, or in the prompt"
        )


def skill_requests(  # noqa: PLR0913 - what decides the requests, each by its name
    suite: Suite,
    variant: Variant,
    cases: Iterable[Case],
    environ: Mapping[str, str],
    *,
    under: str = "",
    repeats: int = 1,
    thinks: bool = False,
) -> tuple[CaseRequest, ...]:
    """Return the requests for skill cases, without the product's prompt, examples and tools.

    Each case has its own messages, and *repeats* requests if replies vary. The environment may hold
    addresses. *under* is ``prompt`` to add the variant's system prompt. Where the end of a reply
    cannot be told, since the model *thinks* before it answers, the model ends it.

    Raises:
        SuiteError: the prompt cannot be rendered for a case.
        ConfigurationError: weights or an address are missing.
    """
    model = _model_alone(variant, system=variant.system if under else None)
    builder = RequestBuilder(suite, model, environ)
    rendered = [(case, _merge_system(builder.messages_for(case))) for case in cases]
    repeats = repeats if replies_vary(variant) else 1
    made = (
        CaseRequest(case, repeat, builder.build(case, messages, repeat, SKILL_TOKENS))
        for case, messages in rendered
        for repeat in range(repeats)
    )
    if thinks or not builder.provider.ends_replies:
        return tuple(made)
    return tuple(replace(one, request=_ending(one.request, _answer_end(one.case))) for one in made)


def _answer_end(case: Case) -> str:
    """Return what the answer to a skill *case* ends with; "" if it ends with the reply."""
    if case.format:
        return ""
    from pytest_ftgate.skills.answers import answer_end_of

    return answer_end_of(case.score.kind, case.score.value)


def _ending(request: Request, ends_at: str) -> Request:
    if not ends_at:
        return request
    return replace(request, ends_at=ends_at, fingerprint=digest([request.fingerprint, ends_at]))


def with_room(
    suite: Suite, variant: Variant, cases: tuple[Case, ...], room: int
) -> tuple[Case, ...]:
    """Return the skill *cases* with the token limits of their replies.

    A limit is what the suite declares for all of them, else that of the case, with *room* tokens
    more for a thought.
    """
    gate = skills_gate(suite)
    declared = gate.max_tokens if gate else None
    if not provider_spec(variant.provider).prompted or not (declared or room):
        return cases
    limits = (declared or (case.max_tokens or SKILL_TOKENS) + room for case in cases)
    return tuple(replace(case, max_tokens=limit) for case, limit in zip(cases, limits, strict=True))


#: Names of models that think unless a setting switches it off.
_THINKING_NAMES = re.compile(
    r"(?<![a-z0-9])(?:gpt-oss|qwq|magistral|thinking|reasoning|reasoner|o[134]|(?:deepseek-)?r1)"
    r"(?![a-z0-9])"
)
_NO_EFFORT = ("none", "minimal")


def is_known_to_think(variant: Variant) -> bool:
    """Return True if the declaration or the model's name says that *variant* thinks."""
    sampling = variant.sampling
    if "thinking" in sampling:
        return bool(sampling["thinking"].get("type") != "disabled")
    if "effort" in sampling:
        return sampling["effort"] not in _NO_EFFORT
    names = (Path(name).name.lower() for name in (variant.model, variant.base) if name)
    return any(map(_THINKING_NAMES.search, names))


def probe_requests(case_requests: tuple[CaseRequest, ...]) -> tuple[CaseRequest, ...]:
    """Return repeats of some of *case_requests*, which show how far a model agrees with itself.

    They are spread evenly over the cases with free-text replies, if there are enough of them: two
    different models often give the same number.
    """
    unformatted = (one for one in case_requests if not one.case.format)
    free_text = [one for one in unformatted if one.case.score.kind not in _SHORT_REPLIES]
    candidates = free_text if len(free_text) >= PROBE_COUNT else case_requests
    count = min(PROBE_COUNT, len(candidates))
    chosen = [candidates[i * len(candidates) // count] for i in range(count)]
    return tuple(CaseRequest(one.case, 1, one.request.repeated(1)) for one in chosen)


def same_seed_requests(
    case_requests: Iterable[CaseRequest],
) -> tuple[tuple[CaseRequest, ...], tuple[CaseRequest, ...]]:
    """Return some of *case_requests* that are sampled with a seed, and their exact repeats."""
    sampled = (one for one in case_requests if one.request.sampling.get("temperature"))
    chosen = tuple(islice((one for one in sampled if "seed" in one.request.sampling), _SEED_CHECKS))
    # Under another fingerprint, so that the cache does not answer the repeats.
    return chosen, tuple(_renamed(one, "same seed") for one in chosen)


def _renamed(one: CaseRequest, why: str) -> CaseRequest:
    request = replace(one.request, fingerprint=digest([one.fingerprint, why]))
    return replace(one, request=request)


def repeat_requests(case_requests: Iterable[CaseRequest], run: str) -> tuple[CaseRequest, ...]:
    """Return repeats of *case_requests* that only the run *run* shares."""
    return tuple(replace(one, request=one.request.repeated(run)) for one in case_requests)


def _merge_system(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Return *turns* with one system message: many models accept only one."""
    system = [text for role, text in turns if role == "system"]
    rest = tuple(turn for turn in turns if turn[0] != "system")
    return (("system", "\n\n".join(system)), *rest) if system else rest


def _model_alone(variant: Variant, system: str | None) -> Variant:
    """Return *variant* with *system* as the only thing that the product adds to its model."""
    return replace(
        variant,
        system=system,
        user="{{ input }}",
        shots=(),
        shot_pool=(),
        constrained=False,
        extra=without_restrictions(variant.extra),
        retrieve=None,
        tools=(),
        max_tokens=None,
    )
