"""What gates read of cases and of their replies, as arrays and as counts."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import looks_like_refusal
from pytest_ftgate.suite.model import Case

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_TEXT_AND_STOP = attrgetter("text", "stop")
#: The most replies whose texts are in memory at once.
_READ_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class ReplyStats:
    """Statistics of many replies, without their texts.

    Attributes:
        word_counts, character_counts: how many replies that are not blank have each length, without
            outer white space.
        written_count: the number of replies that are not blank.
        most_common_count: how often the most frequent text occurs among these; 0 if all differ.
        refusal_count: how many of all replies are refusals.
        reply_count: the number of all replies.
    """

    word_counts: Counter[int]
    character_counts: Counter[int]
    written_count: int
    most_common_count: int
    refusal_count: int
    reply_count: int


def reply_stats(replies: Iterable[Reply]) -> ReplyStats:
    """Return the statistics of *replies*."""
    words, characters = Counter[int](), Counter[int]()
    # Arrays, since most long texts are different.
    total, refusals, hashes, hash_counts = 0, 0, array("q"), array("q")
    rest = map(_TEXT_AND_STOP, replies)
    # Many texts are the same, and are measured together.
    while counts := Counter(islice(rest, _READ_AT_ONCE)):
        for (text, stop), count in counts.items():
            total += count
            stripped = text.strip()
            refusals += count if stop == "refusal" or looks_like_refusal(text) else 0
            if stripped:
                words[len(stripped.split())] += count
                characters[len(stripped)] += count
                hashes.append(hash(stripped))
                hash_counts.append(count)
    return ReplyStats(
        word_counts=words,
        character_counts=characters,
        written_count=words.total(),
        most_common_count=_largest_total(hashes, hash_counts),
        refusal_count=refusals,
        reply_count=total,
    )


def _largest_total(keys: array[int], counts: array[int]) -> int:
    """Return the largest sum of the *counts* of one key; 0 if no key counts more than once."""
    import numpy as np

    _, numbers = np.unique(keys, return_inverse=True)
    largest = int(np.bincount(numbers, weights=counts).max(initial=0))
    return largest if largest > 1 else 0


@dataclass(frozen=True, eq=False)
class CaseFacts:
    """Properties of n cases. All arrays have the shape (n,), in the order of *cases*."""

    cases: tuple[Case, ...]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The ids of the cases."""
        return tuple(case.id for case in self.cases)

    @cached_property
    def scorable(self) -> NDArray[np.bool_]:
        """For each case, whether its replies can be correct or incorrect."""
        import numpy as np

        return np.array([case.is_scorable for case in self.cases], np.bool_)

    @cached_property
    def has_format(self) -> NDArray[np.bool_]:
        """For each case, whether it requires a format."""
        import numpy as np

        return np.array([bool(case.format) for case in self.cases], np.bool_)

    @cached_property
    def has_several_rules(self) -> bool:
        """Whether any case requires more than one format."""
        return max((len(case.format) for case in self.cases), default=0) > 1

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """The weight of each case."""
        import numpy as np

        return np.array([case.weight for case in self.cases], np.float64)

    @cached_property
    def group_numbers(self) -> NDArray[np.intp] | None:
        """The number of the group of each case, unique for a case without one.

        None if no case has a group. Numbers follow the order of the names.
        """
        return number_groups(self.ids, [case.group for case in self.cases])


#: By the ids of the cases; freed with the last scores that use them.
_shared = WeakValueDictionary[tuple[str, ...], CaseFacts]()


def case_facts(ids: tuple[str, ...], cases: tuple[Case, ...]) -> CaseFacts:
    """Return the facts of *cases*, shared by all variants that answer these cases."""
    facts = _shared.get(ids)
    # Equal cases are mostly the same objects, which compare fast.
    if facts is None or facts.cases != cases:
        facts = _shared[ids] = CaseFacts(cases)
    return facts


def number_groups(case_ids: Sequence[str], groups: Sequence[str | None]) -> NDArray[np.intp] | None:
    """Return the number of each of *groups*, in the order of their names; None if there is none.

    A case without a group is a group of its own.
    """
    import numpy as np

    if not any(groups):
        return None
    names = [group or f"\0{case_id}" for case_id, group in zip(case_ids, groups, strict=True)]
    return np.unique(np.array(names), return_inverse=True)[1]
