"""The requests that a gate needs: the suite's cases, the skills, and identity probes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice

from pytest_ftgate.requests.builder import Maker
from pytest_ftgate.requests.request import Ask
from pytest_ftgate.suite.model import Case, Suite, Turn, Variant, digest
from pytest_ftgate.suite.training_data import most_recorded, recorded

__all__ = [
    "PROBES",
    "SKILL_TOKENS",
    "anew",
    "base_of",
    "probes",
    "same_seed",
    "skills",
    "task",
    "varies",
]

#: The longest reply to a skills case that does not say how long it may be, in tokens.
SKILL_TOKENS = 32
#: How many replies show whether an adapter is at work; see gate/identity.py.
PROBES = 60
#: Scores of replies that are short by nature.
_BRIEF = ("numeric", "exact", "code")
#: How many replies are asked a second time where a seed is declared.
_SEEDED = 10


def base_of(variant: Variant) -> Variant:
    """Return the untuned model under *variant*, at the same provider, or what is recorded of it."""
    if variant.base_replies is not None:
        return _recorded_base(variant)
    model, tariff = variant.base or variant.model, variant.tariff
    # One that is listed by its own name has a price of its own; what is declared holds for both.
    own = replace(tariff, model=model) if tariff.model == variant.model else tariff
    return replace(
        variant,
        name=f"base of {variant.name}",
        model=model,
        tariff=own,
        adapter=None,
        base=None,
        served_model=None,
        gated=False,
    )


def _recorded_base(variant: Variant) -> Variant:
    return Variant(
        name=f"base of {variant.name}",
        line=variant.line,
        provider="recorded",
        model=variant.base or variant.model,
        system=variant.system,
        replies=variant.base_replies,
        gated=False,
    )


def varies(variant: Variant) -> bool:
    """Return whether asking *variant* the same again may bring another reply."""
    if variant.provider == "llamacpp":
        return bool(variant.sampling.get("temperature"))
    if variant.provider == "recorded" and variant.replies is not None:
        return most_recorded(variant.replies) > 1
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
        Unavailable: weights, an address or a function are not here, or nothing can be retrieved.
    """
    make = Maker(suite, variant, environ)
    repeats = repeats if varies(variant) else 1
    kept = recorded(variant.replies) if variant.replies else {}
    return tuple(
        Ask(case, repeat, make.call(case, make.prompted(case), repeat))
        for case in suite.cases
        for repeat in range(min(repeats, max(1, kept.get(case.id, 1))) if kept else repeats)
    )


def skills(
    suite: Suite,
    variant: Variant,
    cases: Iterable[Case],
    environ: Mapping[str, str],
    *,
    under: str = "",
    repeats: int = 1,
) -> tuple[Ask, ...]:
    """Return skills cases put to the model of *variant* alone, without what the product adds.

    Args:
        suite: the suite.
        variant: one of its variants, or the base of one.
        cases: of skills, with the messages that they are asked with.
        environ: where addresses are read.
        under: ``prompt`` to ask them under the variant's system prompt all the same.
        repeats: how often each is asked, where replies vary.

    Raises:
        SuiteFaults: the prompt cannot be rendered for a case.
        Unavailable: weights or an address are not here.
    """
    make = Maker(suite, _bare(variant, system=variant.system if under else None), environ)
    turns = [(case, _one_system(make.prompted(case))) for case in cases]
    return tuple(
        Ask(case, repeat, make.call(case, messages, repeat, SKILL_TOKENS))
        for case, messages in turns
        for repeat in range(repeats if varies(variant) else 1)
    )


def probes(asks: tuple[Ask, ...]) -> tuple[Ask, ...]:
    """Return the second asking of a part of *asks*, which shows how far a model agrees with itself.

    The part is spread evenly over the cases that are answered in free text, if they suffice: two
    models may well agree on a number.
    """
    free = [a for a in asks if not a.case.format and a.case.score.kind not in _BRIEF]
    asks = tuple(free) if len(free) >= PROBES else asks
    count = min(PROBES, len(asks))
    chosen = [asks[i * len(asks) // count] for i in range(count)]
    return tuple(Ask(a.case, 1, a.call.again(1)) for a in chosen)


def same_seed(asks: Iterable[Ask]) -> tuple[tuple[Ask, ...], tuple[Ask, ...]]:
    """Return a part of *asks* that are drawn with a seed, and the same put once more with it."""
    drawn = (a for a in asks if "seed" in a.call.sampling and a.call.sampling.get("temperature"))
    chosen = tuple(islice(drawn, _SEEDED))
    names = (digest([a.call.fingerprint, "same seed"]) for a in chosen)
    again = (replace(a.call, fingerprint=name) for a, name in zip(chosen, names, strict=True))
    return chosen, tuple(replace(a, call=c) for a, c in zip(chosen, again, strict=True))


def anew(asks: Iterable[Ask], run: str) -> tuple[Ask, ...]:
    """Return *asks* put once more for the sake of *run*, whose replies are compared with them."""
    return tuple(Ask(a.case, a.repeat, a.call.again(run)) for a in asks)


def _one_system(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Put what several system messages say into one: many models take no more than that."""
    said = [text for role, text in turns if role == "system"]
    rest = tuple(turn for turn in turns if turn[0] != "system")
    return (("system", "\n\n".join(said)), *rest) if said else rest


def _bare(variant: Variant, system: str | None) -> Variant:
    """Return *variant* without what the product adds to its model, but for its *system* prompt."""
    return replace(
        variant,
        system=system,
        user="{{ input }}",
        shots=(),
        pool=(),
        constrained=False,
        retrieve=None,
        tools=(),
        max_tokens=None,
    )
