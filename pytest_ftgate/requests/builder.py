"""Builds the requests of one variant: one a case, one a turn of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from hashlib import sha256
from itertools import chain
from typing import Any

from jinja2 import TemplateError

from pytest_ftgate.errors import Fault, SuiteFaults, Unavailable
from pytest_ftgate.requests.request import Adapter, Ask, Call, Tool
from pytest_ftgate.requests.retrieval import Passages, put_before, retrieved
from pytest_ftgate.requests.tools import tool
from pytest_ftgate.suite.few_shot import most_like
from pytest_ftgate.suite.model import Case, Suite, Turn, Variant, canonical
from pytest_ftgate.suite.references import source_files
from pytest_ftgate.suite.templates import PASSAGES, names, render
from pytest_ftgate.suite.variants import address
from pytest_ftgate.weights import find, sha256_of

__all__ = ["Maker", "turn"]

#: What a call has from its variant as it is.
_SAME = (
    *("provider", "api_version", "function", "replies", "runtime", "options", "batch", "tariff"),
)


#: Stands where one call differs from another of its variant; no setting is this text.
_HOLE = "\0hole"


class Maker:
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
        self.tools = tuple(tool(reference, self.origin) for reference in variant.tools)
        self.shared = self._shared()
        self.same = self._same()
        # Schemas and tools are long; they are written once, with holes for what differs.
        holes = dict.fromkeys(("max_tokens", "messages", "repeat"), _HOLE)
        self.frame = canonical({**self.shared, **holes}).split(canonical(_HOLE))

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
        shared = {
            "provider": self.variant.provider,
            "model": self.model_identity,
            "adapter": (self.adapter.sha256, self.adapter.scale) if self.adapter else None,
            "sampling": self.sampling,
            "constraint": self._constraint(),
            "base_url": self.base_url,
            "function": function,
            "code": [sha256_of(path) for path in code],
        }
        rare = {
            "api_version": self.variant.api_version,
            "options": dict(self.variant.options),
            "tools": [self._identity(one) for one in self.tools],
            "max_turns": self.variant.max_turns if self.tools else 0,
        }
        # Only where they are there, so that all other calls keep their names.
        return shared | {key: value for key, value in rare.items() if value}

    def _same(self) -> dict[str, Any]:
        """Return what every call of this variant is made of."""
        return {
            "model": self.model,
            "sampling": self.sampling,
            "constraint": self.shared["constraint"],
            "tools": self.tools,
            "max_turns": self.variant.max_turns if self.tools else 1,
            "adapter": self.adapter,
            "base_url": self.base_url,
            "api_key_env": self._key(),
            "served_as": self.variant.served_model,
            "training": self.training,
            "origin": self.origin,
            **{key: getattr(self.variant, key) for key in _SAME},
        }

    def _key(self) -> str | None:
        """Return the variable that holds the key; "" where none must be sent.

        A key that the environment holds anyway is not for an address that a suite names.
        """
        variant = self.variant
        stranger = variant.base_url is not None and variant.base_url_env is None
        return variant.api_key_env or ("" if stranger else None)

    def _identity(self, one: Tool) -> list[Any]:
        """Return all of a tool that can change a reply: what is told of it, and its code."""
        code = source_files(one.reference, self.origin)
        return [one.name, one.description, one.parameters, [sha256_of(path) for path in code]]

    def _constraint(self) -> dict[str, Any] | None:
        if self.variant.schema is not None:
            return {"json_schema": self.variant.schema}
        if not self.variant.constrained:
            return None
        rules = {rule.kind: rule.value for rule in self.suite.reply.format}
        kind = "json_schema" if "json_schema" in rules else "choice"
        return {kind: rules[kind]}

    def prompted(self, case: Case) -> tuple[Turn, ...]:
        """Return the messages that put *case* under the variant's prompt.

        Raises:
            SuiteFaults: a template cannot be rendered for it.
            Unavailable: nothing can be retrieved for it.
        """
        # What is recorded was asked elsewhere, nobody knows how.
        if self.variant.provider == "recorded":
            return ()
        values = self._values(case)
        try:
            system = render(self.variant.system, values) if self.variant.system else None
            asked = case.messages or (("user", render(self.variant.user, values)),)
        except TemplateError as error:
            path, _, line = case.where.rpartition(":")
            message = f'variant "{self.variant.name}": the prompt fails for this case: {error}'
            raise SuiteFaults(self.suite.name, [Fault(path, int(line), message)]) from error
        head = (("system", system),) if system else ()
        return (*head, *self._shots(case), *self._with_passages(case, asked))

    @cached_property
    def _passages(self) -> Mapping[str, Passages]:
        retrieve = self.variant.retrieve
        return retrieved(retrieve, self.suite.cases, self.origin) if retrieve else {}

    def _values(self, case: Case) -> dict[str, Any]:
        """Return what templates see; what is retrieved hides a case's own var of that name."""
        own = {"input": case.input, "id": case.id, "tags": case.tags, PASSAGES: "", **case.vars}
        found = self._passages.get(case.id)
        return own if found is None else {**own, PASSAGES: found}

    def _with_passages(self, case: Case, asked: tuple[Turn, ...]) -> tuple[Turn, ...]:
        """Put the passages before what is asked, unless a template has a place for them."""
        templates = (self.variant.system or "", "" if case.messages else self.variant.user)
        if case.id not in self._passages or any(PASSAGES in names(text) for text in templates):
            return asked
        return put_before(self._passages[case.id], asked)

    def _shots(self, case: Case) -> Iterable[Turn]:
        variant = self.variant
        if not variant.pool:
            return variant.shots
        found = most_like(variant.pool, case.shown, variant.similar)
        return chain.from_iterable(shot.turns for shot in found)

    def call(
        self, case: Case, messages: tuple[Turn, ...], repeat: int, tokens: int | None = None
    ) -> Call:
        """Return the call that puts *messages* for *case*.

        Args:
            case: what is asked.
            messages: how it is asked.
            repeat: which of several replies it is, from 0.
            tokens: the longest reply, where neither case nor variant says.
        """
        limit = case.max_tokens or self.variant.max_tokens or tokens or self.suite.reply.max_tokens
        asked = _read_by_function(case) if self.by_case else messages
        first, second, third, last = self.frame
        named = f"{first}{limit}{second}{canonical(asked)}{third}{repeat}{last}"
        return Call(
            fingerprint=sha256(named.encode()).hexdigest(),
            messages=messages,
            max_tokens=limit,
            passages=self._passages.get(case.id, ()),
            case=case if self.by_case else None,
            repeat=repeat,
            **self.same,
        )


#: What of a case its function, or who recorded the replies, cannot have gone by.
_MARKS = ("where", "score", "format", "weight", "must_pass", "must_keep", "folder")
_READ = tuple(one.name for one in fields(Case) if one.name not in _MARKS)


def _read_by_function(case: Case) -> dict[str, Any]:
    return {name: getattr(case, name) for name in _READ}


#: Providers that have one reply to each case, whatever is said to them.
_DEAF = ("classical", "recorded")


def turn(
    make: Maker, case: Case, opening: str | None, later: Sequence[Turn], repeat: int = 0
) -> Ask:
    """Return the ask that goes on with a conversation.

    The first turn stands under the variant's prompt as a case does, so a conversation that opens
    with the case shares its call.

    Args:
        make: makes the calls of the variant.
        case: what the conversation is about.
        opening: the user's first words, or None where the case itself opens it.
        later: the turns since, a reply first and the user's words last; empty for the first turn.
        repeat: which of several conversations this is, from 0.

    Raises:
        Unavailable: the variant can only answer the case.
    """
    provider = make.variant.provider
    if provider in _DEAF and (later or opening is not None):
        raise Unavailable(f"provider {provider} has one reply to each case, so it cannot converse")
    first = case if opening is None else replace(case, input=opening, messages=())
    messages = (*make.prompted(first), *later)
    if later:
        said = first.messages or (("user", first.input),)
        first = replace(first, input="", messages=(*said, *later))
    return Ask(case, repeat, make.call(first, messages, repeat))
