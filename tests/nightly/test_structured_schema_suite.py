"""The format json_schema by the JSON Schema Test Suite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ftgate_testing.schema_suite import schema_groups, suite_folder

from pytest_ftgate.errors import ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import FormatChecker
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

DRAFTS = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


@pytest.fixture(scope="module")
def folder():
    found = suite_folder()
    if found is None:
        pytest.skip("the source distribution of jsonschema, which holds it, cannot be fetched")
    return found


def named(schema, draft):
    """Return *schema* with the draft that the folder it lies in says it is of."""
    return {"$schema": DRAFTS[draft], **schema} if isinstance(schema, dict) else schema


def held(forms, schema, data):
    form = (Rule("json_schema", schema),)
    case = Case(id="a", location="c.jsonl:1", input="q", score=Rule("exact"), format=form)
    return forms.find_error(case, Reply(text=json.dumps(data))) is None


@pytest.mark.parametrize("draft", DRAFTS)
def test_every_required_test_of_a_draft_holds_but_for_schemas_that_would_be_fetched(folder, draft):
    forms, wrong, refused, count = FormatChecker(Path()), [], set(), 0
    for name, schema, tests in schema_groups(folder / draft):
        for one in tests:
            try:
                right = held(forms, named(schema, draft), one["data"]) == one["valid"]
            except ScorerError as error:
                refused.add((name, str(error)))
                continue
            count += 1
            wrong += [] if right else [f"{name}: {one['description']}"]

    assert wrong == []
    assert count > 800
    # Nothing but what the suite would have fetched from its own server.
    assert refused
    assert all("http://localhost:1234/" in told for _, told in refused)
