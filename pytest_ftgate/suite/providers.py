"""The providers in the package: the keys that each needs and reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from pytest_ftgate.suite.declaration import DeclaredVariant

__all__ = ["HOSTED", "LOCAL", "PROVIDERS", "UNASKED", "misplaced", "understands"]

#: provider -> the keys that it cannot do without
PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("model",),
    "bedrock": ("model",),
    "classical": ("training_data",),
    "llamacpp": ("model",),
    "openai-compatible": ("model",),
    "python": ("function",),
    "recorded": ("replies",),
}
#: Providers that answer a case without a prompt.
UNASKED = ("classical", "python", "recorded")
#: Providers whose model, if any, runs on this machine.
LOCAL = ("classical", "llamacpp", "python")
#: Providers that ask a server.
HOSTED = ("anthropic", "bedrock", "openai-compatible")

_MODELS = (*HOSTED, "llamacpp")
_PROMPTED = (
    *("model", "prompt", "user", "examples", "response_schema", "retrieve", "tools", "max_turns"),
    *("max_tokens", "stop", "temperature", "top_p"),
)
_ADDRESS = ("base_url", "base_url_env", "served_model")
#: Prices that need to know how many tokens a reply took.
_BY_TOKENS = ("usd_per_1m_input", "usd_per_1m_output", "usd_per_1m_cached", "price_model")
#: Keys that only some of the package's providers understand: elsewhere they would be ignored.
_ONLY: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_PROMPTED, _MODELS),
    **dict.fromkeys(("adapter", "scale", "slots", "threads", "context"), ("llamacpp",)),
    **dict.fromkeys(_ADDRESS, HOSTED),
    "seed": ("llamacpp", "openai-compatible"),
    "effort": HOSTED,
    "thinking": ("anthropic", "bedrock"),
    "api_version": ("anthropic", "bedrock"),
    "batch": ("anthropic",),
    "api_key_env": ("anthropic", "openai-compatible"),
    "function": ("python",),
    "replies": ("recorded",),
    "base_replies": (*_MODELS, "python", "recorded"),
    **dict.fromkeys(_BY_TOKENS, (*_MODELS, "recorded")),
    "options": (),
}
#: Keys that say nothing to a provider from elsewhere.
_OURS = ("adapter", "scale", "slots", "threads", "context", "function", "replies", "batch")


def understands(provider: str | None, key: str) -> bool:
    """Tell whether *key* means anything to *provider*."""
    if provider in PROVIDERS:
        return provider in _ONLY.get(key, (provider,))
    return key not in _OURS


def misplaced(variant: DeclaredVariant, own: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each key among *own* that means nothing to the variant's provider, and who reads it."""
    provider = str(variant.provider)
    for key in _ONLY:
        if key in own and not understands(provider, key):
            told = f"{key} means nothing to provider {provider}, only to {_listed(_ONLY[key])}"
            yield key, f"{told}; remove it"


def _listed(names: Sequence[str]) -> str:
    *first, last = names or ("providers from elsewhere",)
    return f"{', '.join(first)} and {last}" if first else last
