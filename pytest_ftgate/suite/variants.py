"""The variants of a suite: inheritance by ``like``, the files they name, what each must have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from pydantic import ValidationError

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.cases import rows, to_cases
from pytest_ftgate.suite.declared import DeclaredExamples, DeclaredSuite, DeclaredVariant
from pytest_ftgate.suite.examples import chosen, twins
from pytest_ftgate.suite.model import Case, ReplyRules, Shot, Turn, Variant
from pytest_ftgate.suite.prompt import check_user, names, render
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.yaml import Document

__all__ = ["PROVIDERS", "resolve_variants"]

#: provider -> the keys that it cannot do without
PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("model",),
    "classical": ("training_data",),
    "llamacpp": ("model",),
    "python": ("function",),
    "recorded": ("replies",),
}
_PROVIDERS_LATER = ("bedrock", "openai-compatible")
_SAMPLING = ("temperature", "top_p", "seed", "stop", "effort")
_RUNTIME = ("slots", "threads", "context")
#: Keys that only some providers understand: elsewhere they would be silently ignored.
_MODELS = ("model", "prompt", "user", "examples", "response_schema", "max_tokens", "stop")
_ONLY: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((*_MODELS, "temperature", "top_p"), ("anthropic", "llamacpp")),
    **dict.fromkeys(("adapter", "scale", "seed", *_RUNTIME), ("llamacpp",)),
    **dict.fromkeys(("base_url", "base_url_env", "api_key_env", "effort"), ("anthropic",)),
    "function": ("python",),
    "replies": ("recorded",),
}


def resolve_variants(
    source: Source,
    document: Document,
    declared: DeclaredSuite,
    cases: tuple[Case, ...],
    reply: ReplyRules,
) -> dict[str, Variant]:
    """Return the suite's variants in the order of the file; what is wrong goes to *source*."""
    resolved: dict[str, Variant] = {}
    for name in declared.variants:
        one = _Resolving(source, document, declared, name, cases, reply)
        variant = one.variant()
        if variant:
            resolved[name] = variant
    return resolved


class _Resolving:
    """One variant on its way; holds what every step of it needs to place a fault."""

    def __init__(
        self,
        source: Source,
        document: Document,
        declared: DeclaredSuite,
        name: str,
        cases: tuple[Case, ...],
        reply: ReplyRules,
    ) -> None:
        self.source, self.document, self.declared = source, document, declared
        self.name, self.cases, self.reply = name, cases, reply

    def line(self, key: str = "") -> int:
        return self.document.line(("variants", self.name, key) if key else ("variants", self.name))

    def say(self, key: str, message: str) -> None:
        self.source.say(self.line(key), f'variant "{self.name}": {message}')

    def variant(self) -> Variant | None:
        merged = self.merged()
        if merged is None:
            return None
        prompt = merged.prompt or (
            self.declared.prompt if "prompt" not in merged.model_fields_set else None
        )
        system = self.template(prompt)
        if not self.usable(merged):
            return None
        self.check_labels(merged)
        own = self.declared.variants[self.name].user
        if own is not None:
            what = f'variant "{self.name}": user'
            check_user(self.source, self.line("user"), what, own, self.cases)
        return self.made(merged, system)

    def made(self, merged: DeclaredVariant, system: str | None) -> Variant:
        examples = merged.examples
        shots = self.shots(examples, merged.user or self.declared.user)
        similar = examples.shots if examples and examples.choose == "similar" else 0
        return Variant(
            name=self.name,
            line=self.line(),
            provider=merged.provider or "",
            model=merged.model or "",
            system=system,
            user=merged.user or self.declared.user,
            shots=() if similar else tuple(turn for shot in shots for turn in shot.turns),
            pool=tuple(shots) if similar else (),
            similar=similar,
            constrained=bool(merged.response_schema),
            gated=merged.gated,
            base_url=merged.base_url,
            base_url_env=merged.base_url_env,
            api_key_env=merged.api_key_env,
            adapter=self.file(merged, "adapter"),
            scale=merged.scale,
            base=merged.base,
            training_data=self.file(merged, "training_data"),
            max_tokens=merged.max_tokens,
            sampling=self.picked(merged, _SAMPLING),
            function=merged.function,
            replies=self.file(merged, "replies"),
            runtime=self.picked(merged, _RUNTIME),
        )

    def merged(self) -> DeclaredVariant | None:
        """Lay the variant's own keys over those of the variants that it is like."""
        chain: list[str] = []
        name: str | None = self.name
        while name is not None:
            if name in chain:
                self.say("like", f"like: {' -> '.join([*chain, name])} is a circle")
                return None
            if name not in self.declared.variants:
                near = did_you_mean(name, self.declared.variants)
                self.say("like", f'like: there is no variant "{name}"{near}')
                return None
            chain.append(name)
            name = self.declared.variants[name].like
        keys: dict[str, Any] = {}
        for link in reversed(chain):
            own = self.declared.variants[link].model_dump(by_alias=True, exclude_unset=True)
            # Whether it is gated is a fact of the variant itself, not of how it answers.
            keys.update(
                own if link == self.name else {k: v for k, v in own.items() if k != "gated"}
            )
        keys = self.understood(keys)
        try:
            return DeclaredVariant.model_validate(keys)
        except ValidationError:  # pragma: no cover - each link was valid by itself
            return None

    def understood(self, keys: dict[str, Any]) -> dict[str, Any]:
        """Return *keys* less the inherited ones that only another provider understands."""
        own, provider = self.declared.variants[self.name].model_fields_set, keys.get("provider")
        return {
            key: value
            for key, value in keys.items()
            if key in own or provider in _ONLY.get(key, (provider,))
        }

    def absent(self, key: str, message: str) -> None:
        own = self.declared.variants[self.name].model_fields_set
        # A key that is there and wrong has been said already, and left out.
        if ("variants", self.name, key) not in self.document.lines or key in own:
            self.say(key, message)

    def usable(self, merged: DeclaredVariant) -> bool:
        provider = merged.provider
        if provider is None:
            self.absent("provider", f"provider is missing; one of {', '.join(PROVIDERS)}")
            return False
        if provider in _PROVIDERS_LATER:
            self.say("provider", f"provider {provider} is not available yet")
            return False
        if provider not in PROVIDERS:
            near = did_you_mean(provider, PROVIDERS) or f"; known: {', '.join(PROVIDERS)}"
            self.say("provider", f'unknown provider "{provider}"{near}')
            return False
        absent = [key for key in PROVIDERS[provider] if not getattr(merged, key)]
        for key in absent:
            self.absent(key, f"provider {provider} needs {key}")
        self.check_keys(merged, provider)
        return not absent

    def check_keys(self, merged: DeclaredVariant, provider: str) -> None:
        own = self.declared.variants[self.name].model_fields_set
        for key, only in _ONLY.items():
            if key in own and provider not in only:
                known = " and ".join(only)
                self.say(
                    key, f"{key} means nothing to provider {provider}, only to {known}; remove it"
                )
        if "scale" in own and merged.adapter is None:
            self.say("scale", "scale without an adapter: what is scaled?")
        untuned = merged.adapter is None and merged.base is None and provider != "classical"
        if merged.training_data and untuned:
            self.say("training_data", "training_data without an adapter or a base: what was tuned?")
        if merged.base is not None and merged.base == merged.model and merged.adapter is None:
            self.say("base", f'base "{merged.base}" is the model itself; name the tuned model')
        if merged.base is not None and merged.adapter is not None and merged.base != merged.model:
            self.say("base", "base: with an adapter the base is the model without it; remove base")
        if merged.base is not None and provider in ("python", "recorded", "classical"):
            self.say("base", f"base: provider {provider} has no model that could be asked instead")

    def template(self, written: str | None) -> str | None:
        if written is None:
            return None
        line = (
            self.line("prompt")
            if self.declared.variants[self.name].prompt
            else (self.document.line(("prompt",)))
        )
        path = self.source.find(written, line, "prompt")
        text = self.source.text(path, line, "prompt") if path else None
        if text is None or path is None:
            return None
        self.check_template(text, path)
        return text.removesuffix("\n")

    def check_template(self, text: str, path: Path) -> None:
        try:
            wanted = names(text)
        except TemplateError as error:
            self.source.say(getattr(error, "lineno", 0) or 0, f"not a template: {error}", path)
            return
        offered = {"input", "id", "tags", *(key for case in self.cases for key in case.vars)}
        for name in sorted(wanted - offered) if self.cases else ():
            number = next((i for i, t in enumerate(text.split("\n"), 1) if name in t), 0)
            near = did_you_mean(name, offered) or f"; cases have {', '.join(sorted(offered))}"
            self.source.say(number, f'no case has "{name}"{near}', path)

    def file(self, merged: DeclaredVariant, key: str) -> Path | None:
        written = getattr(merged, key)
        if written is None:
            return None
        return self.source.find(
            written, self.line(key), f'variant "{self.name}": {key}', anywhere=key == "adapter"
        )

    def shots(self, examples: DeclaredExamples | None, user: str) -> list[Shot]:
        if examples is None:
            return []
        path = self.source.find(examples.source, self.line("examples"), "examples: from")
        if path is None:
            return []
        pool = to_cases(self.source, rows(self.source, path, self.line("examples")), self.reply)
        found = chosen(pool, examples)
        self.check_shots(found)
        return [Shot(shot.shown, self.turns(shot, user)) for shot in found]

    def turns(self, shot: Case, user: str) -> tuple[Turn, ...]:
        if shot.expected is None:
            self.say("examples", f'example {shot.where} has no "expected", so nothing to show')
            return ()
        answer = shot.expected[0] if isinstance(shot.expected, list) else shot.expected
        values = {"input": shot.input, "id": shot.id, "tags": shot.tags, **shot.vars}
        try:
            asked = shot.messages or (("user", render(user, values)),)
        except TemplateError as error:
            self.say("examples", f"example {shot.where} cannot be shown: {error}")
            return ()
        return (*asked, ("assistant", str(answer)))

    def check_shots(self, shots: list[Case]) -> None:
        for shot, case in twins(shots, self.cases):
            self.say("examples", f"example {shot.where} is the eval case {case.where}; remove one")

    def check_labels(self, merged: DeclaredVariant) -> None:
        kinds = [rule.kind for rule in self.reply.format]
        known = ("json_schema",) if merged.provider == "anthropic" else ("choice", "json_schema")
        if merged.response_schema and not set(known) & set(kinds):
            needed = f"response_schema needs a reply.format of {' or '.join(known)}"
            self.say("response_schema", f"{needed} with provider {merged.provider}")

    @staticmethod
    def picked(merged: DeclaredVariant, keys: tuple[str, ...]) -> dict[str, Any]:
        chosen = {key: getattr(merged, key) for key in keys if key in merged.model_fields_set}
        return {key: value for key, value in chosen.items() if value not in (None, ())}
