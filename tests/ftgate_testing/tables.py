"""One test over a table: every row runs, and those that fail are reported together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps

import pytest


def every_row(
    names: str | Sequence[str], rows: Iterable[object], ids: Sequence[str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test with each row of a table, as one item of pytest.

    It takes the arguments of ``pytest.mark.parametrize``, which stays where rows are slow or use
    fixtures that keep a state.

    Args:
        names: the parameters of the test that a row has.
        rows: the values; of one parameter, the value alone.
        ids: what a report calls the rows, if not by their values.
    """
    keys = [names] if isinstance(names, str) else [*names]
    table = [dict(zip(keys, _values(row, len(keys)), strict=True)) for row in rows]
    labels = [*ids] if ids else [f"{row}" for row in table]
    if not table or len(labels) != len(table):
        raise ValueError("a table has rows, and as many ids")

    def over_rows(test: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(test)
        others = [one for name, one in signature.parameters.items() if name not in keys]

        @wraps(test)
        def run(**fixtures: object) -> None:
            failed = []
            for label, row in zip(labels, table, strict=True):
                try:
                    test(**fixtures, **row)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - all are told
                    error.add_note(f"in the row {label}")
                    failed.append(error)
            if failed:
                raise BaseExceptionGroup(f"{len(failed)} of {len(table)} rows fail", failed)

        vars(run)["__signature__"] = signature.replace(parameters=others)
        return run

    return over_rows


def _values(row: object, count: int) -> Sequence[object]:
    if count == 1:
        return (row,)
    assert isinstance(row, Sequence)
    return row
