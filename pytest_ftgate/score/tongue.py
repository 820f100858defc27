"""In which language a text is written."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

__all__ = ["can_tell", "language_of"]

#: Below this share of certainty nothing is said: a label or a number has no language.
_SURE = 0.5
#: Characters that are read: more tell no more.
_READ = 2000


def can_tell() -> bool:
    """Tell whether the package that knows languages is installed."""
    return find_spec("py3langid") is not None


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_SURE)


def language_of(text: str) -> str:
    """Return the code of the language of *text*, or "" where that cannot be told."""
    code = str(_identifier().classify(text[:_READ])[0])
    return "" if code == "und" else code
