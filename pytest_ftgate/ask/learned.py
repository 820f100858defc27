"""Settings that a server would not take: learned from its first refusal, and then left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Learned"]

#: Words of a server that knows the setting and minds its value: that is for the author to mend.
_VALUE = re.compile(
    r"range|must be|at (least|most)|less than|greater|between|maximum|minimum|may only|"
    r"invalid (value|schema)|cannot both|only one|not both",
    re.IGNORECASE,
)
#: Words of a server that does not know settings; with others it may mean them together.
_UNKNOWN = re.compile(
    r"(not|n't) (supported|permitted|allowed|accepted)|unsupported|unknown|unrecognized|extra",
    re.IGNORECASE,
)


class Learned:
    """What one server and model will not take.

    A declared setting is sent until the server names it in a refusal. What was left out is kept
    with every reply, so that nobody takes a reply for one at temperature 0 that is none.
    """

    def __init__(self) -> None:
        self._refused: set[str] = set()

    def takes(self, setting: str) -> bool:
        """Tell whether *setting* has not been refused so far."""
        return setting not in self._refused

    def taken(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return *settings* without those that were refused."""
        return {key: value for key, value in settings.items() if self.takes(key)}

    def learn(self, said: str, sent: Iterable[str]) -> bool:
        """Take a refusal in; True where it names a setting that was sent, to be left out now.

        Args:
            said: the server's own words.
            sent: the settings that the refused request held, also where they have been learned of
                since: it was in flight meanwhile.
        """
        named = {key for key in sent if re.search(rf"\b{re.escape(key)}\b", said)}
        if not named or _VALUE.search(said) or (len(named) > 1 and not _UNKNOWN.search(said)):
            return False
        self._refused |= named
        return True
