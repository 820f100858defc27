"""Long contexts and conversations; their texts are rendered by pytest_ftgate/skills/texts.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from items import OWN, Item, Task


def _seeds(kind: str) -> Callable[[Random, int], Iterator[Item]]:
    def items(random: Random, level: int) -> Iterator[Item]:
        del level  # it stands in the row
        while True:
            yield {"render": kind, "seed": random.randrange(1 << 30)}

    return items


def _tasks(kinds: tuple[str, ...]) -> tuple[Task, ...]:
    return tuple(Task(kind, OWN, _seeds(kind)) for kind in kinds)


LONG_CONTEXT = _tasks(("ledger_lookup", "ledger_sum", "ledger_chain"))
CONVERSATION = _tasks(("stock_keeping", "appointments"))
