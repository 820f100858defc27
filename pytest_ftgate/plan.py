"""From a suite to the calls it needs: each rendered, and named by what can change its reply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from pytest_ftgate.errors import Fault, SuiteFaults
from pytest_ftgate.suite.address import address
from pytest_ftgate.suite.examples import most_like
from pytest_ftgate.suite.model import Case, Suite, Turn, Variant, digest
from pytest_ftgate.suite.prompt import render
from pytest_ftgate.suite.recorded import recorded
from pytest_ftgate.suite.reference import source_files
from pytest_ftgate.weights import find, sha256_of

__all__ = [
    "PROBES",
    "SKILL_TOKENS",
    "Adapter",
    "Ask",
    "Call",
    "anew",
    "base_of",
    "distinct",
    "probes",
    "skills",
    "task",
    "varies",
]

#: The longest reply to a skills case that does not say how long it may be, in tokens.
SKILL_TOKENS = 32
#: How many replies show whether an adapter is at work; see gate/identity.py.
PROBES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA adapter laid over a model's weights."""

    path: Path
    scale: float
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, fully rendered.

    Attributes:
        fingerprint: sha256 over everything that can change the reply, and nothing else.
        model: the model's name, or the path of its weights.
        constraint: the format that the provider is asked to hold the reply to, or None.
        training: the file that a classifier learns from.
        case: the case itself, for providers that answer without a prompt.
        origin: the folder that relative names are read from.
        repeat: which of several replies to the same request this is, from 0.
        runtime: settings of the machinery that do not change what is asked.
    """

    fingerprint: str
    provider: str
    model: str
    messages: tuple[Turn, ...]
    max_tokens: int
    sampling: Mapping[str, Any]
    constraint: Mapping[str, Any] | None = None
    adapter: Adapter | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    case: Case | None = None
    function: str | None = None
    replies: Path | None = None
    training: Path | None = None
    origin: Path = Path()
    repeat: int = 0
    runtime: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """One case put to one variant, and the call that answers it; several may share a call."""

    case: Case
    repeat: int
    call: Call


def base_of(variant: Variant) -> Variant:
    """Return the untuned model under *variant*, at the same provider."""
    return replace(
        variant,
        name=f"base of {variant.name}",
        model=variant.base or variant.model,
        adapter=None,
        base=None,
        gated=False,
    )


def varies(variant: Variant) -> bool:
    """Return whether asking *variant* the same again may bring another reply."""
    if variant.provider == "llamacpp":
        return bool(variant.sampling.get("temperature"))
    if variant.provider == "recorded" and variant.replies is not None:
        return max(recorded(variant.replies).values(), default=0) > 1
    return variant.provider != "classical"


def task(
    suite: Suite, variant: Variant, environ: Mapping[str, str], repeats: int = 1
) -> tuple[Ask, ...]:
    """Return the suite's cases put to *variant*, under its own prompt.

    Args:
        suite: the suite.
        variant: one of its variants.
        environ: where addresses are read.
        repeats: how often each case is asked, where replies vary.

    Raises:
        SuiteFaults: a template cannot be rendered for a case.
        Unavailable: weights, an address or a function are not here.
    """
    make = _Maker(suite, variant, environ)
    repeats = repeats if varies(variant) else 1
    kept = recorded(variant.replies) if variant.replies else {}
    return tuple(
        Ask(case, repeat, make.call(case, make.prompted(case), repeat))
        for case in suite.cases
        for repeat in range(min(repeats, max(1, kept.get(case.id, 1))) if kept else repeats)
    )


def skills(
    suite: Suite, variant: Variant, cases: Iterable[Case], environ: Mapping[str, str]
) -> tuple[Ask, ...]:
    """Return skills cases put to the model of *variant* alone, without what the product adds.

    Raises:
        Unavailable: weights or an address are not here.
    """
    bare = replace(variant, system=None, shots=(), pool=(), constrained=False, max_tokens=None)
    make = _Maker(suite, bare, environ)
    return tuple(
        Ask(case, 0, make.call(case, _own_messages(case), 0, SKILL_TOKENS)) for case in cases
    )


def probes(asks: tuple[Ask, ...]) -> tuple[Ask, ...]:
    """Return the second asking of a part of *asks*, which shows how far a model agrees with itself.

    The part is spread evenly over the cases that are answered in free text.
    """
    count = min(PROBES, len(asks))
    chosen = [asks[i * len(asks) // count] for i in range(count)]
    return tuple(Ask(a.case, 1, _again(a.call, 1)) for a in chosen)


def anew(asks: Iterable[Ask], run: str) -> tuple[Ask, ...]:
    """Return *asks* put once more for the sake of *run*, whose replies are compared with them."""
    return tuple(Ask(a.case, a.repeat, _again(a.call, run)) for a in asks)


def _again(call: Call, mark: int | str) -> Call:
    return replace(call, repeat=call.repeat + 1, fingerprint=digest([call.fingerprint, mark]))


def distinct(asks: Iterable[Ask]) -> tuple[Call, ...]:
    """Return each call of *asks* once, in the order of its first need."""
    return tuple({ask.call.fingerprint: ask.call for ask in asks}.values())


def _own_messages(case: Case) -> tuple[Turn, ...]:
    return case.messages or (("user", case.input),)


class _Maker:
    """Makes the calls of one variant; what they share is worked out once."""

    def __init__(self, suite: Suite, variant: Variant, environ: Mapping[str, str]) -> None:
        self.variant, self.suite = variant, suite
        self.origin = suite.path.parent
        self.by_case = variant.provider in ("python", "recorded", "classical")
        self.model, self.model_identity = variant.model, variant.model
        self.adapter: Adapter | None = None
        # Of a tuned model it is told for the record; a classifier learns from it here.
        self.training = variant.training_data if variant.provider == "classical" else None
        self.sampling = dict(variant.sampling)
        if variant.provider == "llamacpp":
            self._local()
        self.base_url = address(variant, environ)
        self.shared = self._shared()

    def _local(self) -> None:
        variant = self.variant
        path = find(variant.model, self.origin)
        self.model, self.model_identity = str(path), sha256_of(path)
        if variant.adapter is not None:
            self.adapter = Adapter(
                path=variant.adapter, scale=variant.scale, sha256=sha256_of(variant.adapter)
            )
        # Greedy unless the author says otherwise: local replies are then free of sampling noise.
        self.sampling.setdefault("temperature", 0.0)

    def _shared(self) -> dict[str, Any]:
        """Return what every fingerprint of this variant has in common."""
        function = self.variant.function
        code = source_files(function, self.origin) if function else ()
        code = (*code, self.variant.replies) if self.variant.replies else code
        code = (*code, self.training) if self.training else code
        return {
            "provider": self.variant.provider,
            "model": self.model_identity,
            "adapter": (self.adapter.sha256, self.adapter.scale) if self.adapter else None,
            "sampling": self.sampling,
            "constraint": self._constraint(),
            "base_url": self.base_url,
            "function": function,
            "code": [sha256_of(path) for path in code],
        }

    def _constraint(self) -> dict[str, Any] | None:
        if not self.variant.constrained:
            return None
        rules = {rule.kind: rule.value for rule in self.suite.reply.format}
        kind = "json_schema" if "json_schema" in rules else "choice"
        return {kind: rules[kind]}

    def prompted(self, case: Case) -> tuple[Turn, ...]:
        values = {"input": case.input, "id": case.id, "tags": case.tags, **case.vars}
        try:
            system = render(self.variant.system, values) if self.variant.system else None
            asked = case.messages or (("user", render(self.variant.user, values)),)
        except TemplateError as error:
            path, _, line = case.where.rpartition(":")
            message = f'variant "{self.variant.name}": the prompt fails for this case: {error}'
            raise SuiteFaults(self.suite.name, [Fault(path, int(line), message)]) from error
        head = (("system", system),) if system else ()
        return (*head, *self._shots(case), *asked)

    def _shots(self, case: Case) -> Iterable[Turn]:
        variant = self.variant
        if not variant.pool:
            return variant.shots
        found = most_like(variant.pool, case.shown, variant.similar)
        return chain.from_iterable(shot.turns for shot in found)

    def call(
        self, case: Case, messages: tuple[Turn, ...], repeat: int, tokens: int | None = None
    ) -> Call:
        limit = case.max_tokens or self.variant.max_tokens or tokens or self.suite.reply.max_tokens
        asked = _read_by_function(case) if self.by_case else messages
        parts = {**self.shared, "messages": asked, "max_tokens": limit, "repeat": repeat}
        return Call(
            fingerprint=digest(parts),
            provider=self.variant.provider,
            model=self.model,
            messages=messages,
            max_tokens=limit,
            sampling=self.sampling,
            constraint=self.shared["constraint"],
            adapter=self.adapter,
            base_url=self.base_url,
            api_key_env=self.variant.api_key_env,
            case=case if self.by_case else None,
            function=self.variant.function,
            replies=self.variant.replies,
            training=self.training,
            origin=self.origin,
            repeat=repeat,
            runtime=self.variant.runtime,
        )


def _read_by_function(case: Case) -> dict[str, Any]:
    marks = ("where", "score", "format", "weight", "must_pass")
    return {key: value for key, value in asdict(case).items() if key not in marks}
