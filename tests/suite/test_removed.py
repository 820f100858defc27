"""A key that went has one message, which says what to write instead."""

from __future__ import annotations

import pytest
import yaml
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.removed import REMOVED_KEYS

WHERE = {
    "accuracy": ("gates", "accuracy"),
    "format": ("gates", "format"),
    "data": ("gates", "data"),
    "gates": ("gates",),
    "metric": ("gates", "accuracy"),
    "ladder": ("ladder",),
    "repeats": ("repeats",),
    "score": ("reply", "score"),
    "variants": ("variants", "current"),
}
#: Keys of which a value went.
VALUES = ("metric",)


@every_row("name", [*REMOVED_KEYS])
def test_a_key_that_went_has_one_message_with_file_line_and_remedy(tmp_path, name):
    outer, key = name.split(".")
    suite = {
        "cases": [{"input": "a", "expected": "b"}],
        "variants": {"current": {"provider": "anthropic", "model": "m"}},
        "gates": {"accuracy": {"min": 0.5}},
    }
    place = suite
    for part in WHERE[outer]:
        place = place.setdefault(part, {})
    if outer in VALUES:
        place[outer] = key
    else:
        place[key] = 3
    path = tmp_path / "s.ftgate.yaml"
    text = yaml.safe_dump(suite, sort_keys=False)
    path.write_text(text, "utf-8")

    with pytest.raises(SuiteError) as error:
        load_suite(path, tmp_path)

    (told,) = [one for one in error.value.errors if REMOVED_KEYS[name] in one.message]
    # What is no mapping of keys is told where it begins.
    told_at = outer if outer in ("repeats", "score", *VALUES) else key
    line = 1 + [line.strip().partition(":")[0] for line in text.splitlines()].index(told_at)
    assert (told.path, told.line) == ("s.ftgate.yaml", line)
    assert f'"{key}" is no longer supported: ' in told.message
