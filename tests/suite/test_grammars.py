"""Grammars that a parser in C could not read, and those that only look like them."""

from __future__ import annotations

from ftgate_testing.suite_files import Like
from ftgate_testing.tables import every_row

from pytest_ftgate.suite.grammars import grammar_error


@every_row(
    ("grammar", "told"),
    [
        (f"root ::= {'(' * 100}a{')' * 100}", ""),
        (f"root ::= {'(' * 101}a{')' * 101}", "its brackets nest deeper than 100 levels; ..."),
        # A bracket in a literal, in a set of characters or in a comment opens and closes nothing.
        ("root ::= " + '("(" ' * 90 + ")" * 90, ""),
        (f"root ::= [{'(' * 200}] # {'(' * 200}", ""),
        ("root ::= " + '(")" [)] ' * 101, "its brackets nest deeper ..."),
        ('root ::= "' + "(" * 101, "its brackets nest deeper ..."),
        # Whose end would be sought from each of them: of a million, for hours.
        ("root ::= " + "[" * 900_000, ""),
        ('root ::= "' + '\\"' * 400_000, ""),
        ('root ::= [0-9]{1,10000} "{999999}"', ""),
        ("root ::= [0-9]{ 1 , 10001 }", "a part is repeated more than 10,000 times; ..."),
        ("root ::= [0-9]{" + " " * 900_000, ""),
        ("root ::= [0-9]{00002} [0-9]{,}", ""),
        ("root ::= [0-9]{" + "9" * 5_000 + "}", "a part is repeated more than 10,000 times; ..."),
        ("root ::= [0-9]{99999}", "a part is repeated more than 10,000 times; ..."),
    ],
)
def test_a_grammar_nests_and_repeats_no_more_than_can_be_parsed(grammar, told):
    assert grammar_error(grammar) == Like(told)
