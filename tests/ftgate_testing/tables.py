"""One test over a table: every row is tried, and all rows that fail are told together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

import pytest

Test = Callable[..., None]


def heavy(*values: Any, id: str | None = None) -> Any:  # noqa: A002 - as pytest calls it
    """Return a row of ``parametrize`` that a nightly run alone tries, such as one of processes."""
    return pytest.param(*values, marks=pytest.mark.heavy, id=id)


def every_row(
    names: str | Sequence[str], rows: Iterable[Any], ids: Iterable[str] = ()
) -> Callable[[Test], Test]:
    """Call a test with each of *rows*, read as ``parametrize`` reads them, in one item.

    Each row has a ``tmp_path`` and a ``monkeypatch`` of its own; all share the other fixtures. A
    failure names the row by its number, by *ids* if there are any, and by its values.
    """
    keys = [key.strip() for key in names.split(",")] if isinstance(names, str) else [*names]
    table = [_by_name(keys, row) for row in rows]
    assert table, "a test over no rows tests nothing"
    labels = [*ids] or [*range(len(table))]

    def fold(test: Test) -> Test:
        @wraps(test)
        def over_rows(**fixtures: Any) -> None:
            labelled = zip(labels, table, strict=True)
            tried = (_error(test, fixtures, row, label) for label, row in labelled)
            if errors := [error for error in tried if error]:
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


def _error(
    test: Test, fixtures: Mapping[str, Any], row: Mapping[str, Any], label: object
) -> BaseException | None:
    """Return what *test* raises with a row, and a note of the row in it."""
    own = dict(fixtures)
    with pytest.MonkeyPatch.context() as patch:
        if "monkeypatch" in own:
            own["monkeypatch"] = patch
        if "tmp_path" in own:
            own["tmp_path"] = own["tmp_path"] / f"row {label}"
            own["tmp_path"].mkdir()
        try:
            test(**own, **row)
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - all rows are tried
            values = ", ".join(f"{key}={value!r:.200}" for key, value in row.items())
            error.add_note(f"row {label}: {values}")
            return error
    return None
