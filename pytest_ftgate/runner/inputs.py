"""What the cache has of the inputs of a suite: on which two variants differ."""

from __future__ import annotations

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.disagreements import Disagreements, find_disagreements
from pytest_ftgate.runner.plan import known_replies
from pytest_ftgate.runner.planner import full_look
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.scores import VariantScores, score_replies
from pytest_ftgate.suite.model import Suite, Variant


def cached_disagreements(session: Session, suite: Suite, variant: Variant) -> Disagreements:
    """Return on which inputs the cached replies of *variant* and of the baseline differ.

    Raises:
        ConfigurationError: the suite has no inputs, or the cache lacks the replies.
    """
    typed = session.settings.typed(suite.name)
    if suite.inputs is None:
        raise ConfigurationError(
            f"{typed} has no inputs; write inputs: FILE, with what production was asked"
        )
    baseline, own = (
        _cached_scores(session, suite, side) for side in (suite.variants[suite.baseline], variant)
    )
    found = find_disagreements(suite.inputs, baseline, own)
    if not found.inputs:
        raise ConfigurationError(
            f"{session.settings.cache} has no replies of {suite.baseline} and {variant.name} to "
            f"the inputs; run pytest --ftgate {typed} first"
        )
    return found


def _cached_scores(session: Session, suite: Suite, variant: Variant) -> VariantScores:
    asked = session.built.task(suite.inputs_suite, variant, full_look(suite))
    replies = known_replies(session, variant.name, asked, only_cached=True)
    return score_replies(variant.name, asked, replies, suite.path.parent)
