from __future__ import annotations

import json

from reports import failing_run

from pytest_ftgate.results.verdicts import load_verdicts, store_verdicts, to_json


def stored(folder, change):
    """Store a verdict, then *change* it in the file."""
    verdict = failing_run(["a wrong reply"]).verdicts[0]
    store_verdicts(folder, [to_json(verdict)])
    path = folder / "verdicts.jsonl"
    path.write_text(json.dumps(change(json.loads(path.read_text("utf-8")))) + "\n", "utf-8")
    return verdict


def test_a_stored_verdict_is_loaded_as_it_was(tmp_path):
    verdict = stored(tmp_path, lambda values: values)

    assert load_verdicts(tmp_path) == (verdict,)


def test_a_verdict_with_fields_of_an_older_version_is_not_loaded(tmp_path):
    # Its count of regressed cases stands under an older name, and would be read as none.
    def older(values):
        return {**{k: v for k, v in values.items() if k != "regressed"}, "lost": 83}

    stored(tmp_path, older)

    assert load_verdicts(tmp_path) == ()
