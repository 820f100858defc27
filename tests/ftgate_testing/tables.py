"""One test over a table: every row is tried, and all rows that fail are told together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

import pytest

Test = Callable[..., None]


def every_row(
    names: str | Sequence[str], rows: Iterable[Any], ids: Sequence[str] = ()
) -> Callable[[Test], Test]:
    """Call a test with each of *rows*, read as ``parametrize`` reads them, in one item.

    Each row has a ``tmp_path`` and a ``monkeypatch`` of its own; all share the other fixtures.
    """
    keys = [key.strip() for key in names.split(",")] if isinstance(names, str) else [*names]
    table = [_by_name(keys, row) for row in rows]
    assert table, "a test over no rows tests nothing"

    def fold(test: Test) -> Test:
        @wraps(test)
        def over_rows(**fixtures: Any) -> None:
            errors = []
            for n, row in enumerate(table):
                told = ids[n] if ids else ", ".join(f"{key}={row[key]!r:.200}" for key in keys)
                if error := _error(test, _of_its_own(fixtures, n), row, f"row {n}: {told}"):
                    errors.append(error)
            if errors:
                raise BaseExceptionGroup(f"{len(errors)} of {len(table)} rows fail", errors)

        signature = inspect.signature(test)
        over_rows.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[signature.parameters[p] for p in signature.parameters if p not in keys]
        )
        return over_rows

    return fold


def _by_name(keys: Sequence[str], row: Any) -> dict[str, Any]:
    values = [row] if len(keys) == 1 else row
    return dict(zip(keys, values, strict=True))


def _of_its_own(fixtures: Mapping[str, Any], row: int) -> dict[str, Any]:
    own = dict(fixtures)
    if "tmp_path" in own:
        own["tmp_path"] = own["tmp_path"] / f"row{row}"
        own["tmp_path"].mkdir()
    return own


def _error(
    test: Test, fixtures: dict[str, Any], row: Mapping[str, Any], told: str
) -> BaseException | None:
    with pytest.MonkeyPatch.context() as patch:
        if "monkeypatch" in fixtures:
            fixtures["monkeypatch"] = patch
        try:
            test(**fixtures, **row)
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - all rows are tried
            error.add_note(told)
            return error
    return None
