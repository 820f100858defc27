import pytest

from pytest_ftgate.gate.words import interval, percent, points


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.614, "61 %"), (0.0, "0 %"), (1.0, "100 %"), (0.996, "99.6 %"), (0.004, "0.4 %")],
)
def test_shares_are_said_in_per_cent_and_never_rounded_to_the_ends(share: float, said: str) -> None:
    assert percent(share) == said


@pytest.mark.parametrize(
    ("change", "said"), [(-0.47, "−47"), (0.02, "+2"), (0.0, "0"), (-0.001, "0")]
)
def test_changes_are_said_in_signed_points(change: float, said: str) -> None:
    assert points(change) == said


def test_an_interval_is_two_changes() -> None:
    assert interval(-0.53, -0.40) == "(−53 −40)"
