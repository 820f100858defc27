"""Every published reference vector is reproduced by the package, or has a reason why not.

OUT_OF_SCOPE lists, one by one, the vectors of methods that no gate uses.
"""

from __future__ import annotations

import json
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from scipy.special import ndtr

from pytest_ftgate.scoring.classification import LabelPredictions, label_metrics, macro_f1
from pytest_ftgate.stats.paired import PairedCounts, change_interval, holm, paired_counts
from pytest_ftgate.stats.power import fail_cases_needed, minimum_cases_needed
from pytest_ftgate.stats.proportions import (
    binomial_cdf,
    binomial_sf,
    clopper_pearson,
    lower_bound,
    mcnemar_midp,
    tango_z,
    upper_bound,
    wilson,
)
from pytest_ftgate.stats.resampling import clustered_se, stuart_maxwell
from pytest_ftgate.stats.sequential import obrien_fleming_bounds

FOLDER = Path(__file__).parent.parent / "vectors"
VECTORS = {
    vector["id"]: vector
    for file in sorted(FOLDER.glob("*.json"))
    for vector in json.loads(file.read_text()).get("vectors", ())
}

# --- what the package computes -----------------------------------------------------------------


def score_test(vector):
    z = tango_z(float(vector["b"]), float(vector["c"]), 1000.0, 0.0)
    return {"z": z, "chi2": z**2, "p": 2 * ndtr(-abs(z))}


def midp(b, c):
    return {"p": 2 * mcnemar_midp(float(min(b, c)), float(max(b, c)))}


def tango(i):
    b, c, n = i["b"], i["c"], i["n"]
    pairs = PairedCounts(
        n=n, delta=(b - c) / n, fixed=b, regressed=c, effective=n, before=0, after=0
    )
    return interval(change_interval(pairs, i["confidence"]))


def interval(bounds):
    return dict(zip(("lower", "upper"), bounds, strict=True))


def exact_interval(i):
    x, n, alpha = i["x"], i["n"], 1 - i["confidence"]
    side = i.get("alternative", "two-sided")
    if side == "greater":
        return {"lower": lower_bound(x, n, alpha), "upper": 1.0}
    if side == "less":
        return {"lower": 0.0, "upper": upper_bound(x, n, alpha)}
    return interval(clopper_pearson(x, n, i["confidence"]))


def score_interval(i):
    side = i.get("alternative", "two-sided")
    confidence = i["confidence"] if side == "two-sided" else 2 * i["confidence"] - 1
    low, high = wilson(i["x"], i["n"], confidence)
    return {"lower": 0.0 if side == "less" else low, "upper": 1.0 if side == "greater" else high}


def binomial_one_sided(i):
    x, n, p = i["x"], i["n"], i["p0"]
    return {"p": binomial_cdf(x, n, p) if i["alternative"] == "less" else binomial_sf(x - 1, n, p)}


def pooled_clusters(i):
    _, b, c, _ = np.sum(i["clusters_abcd"], axis=0)
    return score_test({"b": b, "c": c})


def connor(i):
    alpha = i["alpha"] / i["sides"]
    drop = abs(i["p01"] - i["p10"])
    return {"n": fail_cases_needed(drop, i["p01"] + i["p10"], i["power"], alpha)}


def sequential_bounds(i):
    return {"z": obrien_fleming_bounds(i["alpha"], np.arange(1, i["K"] + 1) / i["K"])}


def forgetting(i):
    if i["last"] is None:
        with pytest.raises(ValueError, match="case"):
            paired_counts([i["initial"]], [])
        return {"forgetting": None}
    skill = paired_counts([i["initial"]], [i["last"]])
    return {"forgetting": skill.before - skill.after, "bwt": skill.after - skill.before}


def chi_square(i):
    return dict(zip(("chi2", "df", "p"), stuart_maxwell(i["table"]), strict=True))


def predictions(i):
    truth, predicted = np.array(i["y_true"]), np.array(i["y_pred"])
    return LabelPredictions(("0", "1", "2"), tuple(map(str, range(truth.size))), truth, predicted)


def f1_per_class(i):
    return {
        "f1": [one.f1 for one in sorted(label_metrics(predictions(i)), key=attrgetter("label"))]
    }


PRODUCT = {
    "mcnemar_chi2": score_test,
    "mcnemar_z": lambda i: score_test({"b": i["b"], "c": i["c"]}),
    "mcnemar_midp_two_sided": lambda i: midp(i["b"], i["c"]),
    "mcnemar_no_discordant": lambda i: {"p": mcnemar_midp(float(i["b"]), float(i["c"]))},
    "tango_score_ci": tango,
    "clopper_pearson_ci": exact_interval,
    "wilson_ci": score_interval,
    "binom_test": binomial_one_sided,
    "binom_midp_test": lambda i: midp(i["x"], i["n"] - i["x"]),
    "adjust_holm": lambda i: {"p_adjusted": holm(i["p"])},
    "clustered_mcnemar_mcnemar": pooled_clusters,
    "clustered_se_mean": lambda i: {"se": clustered_se(i["values"], i["cluster"])},
    "se_mean": lambda i: {"se": clustered_se(i["values"], range(len(i["values"])))},
    "n_mcnemar_connor": connor,
    "zero_loss_n": lambda i: {"n": minimum_cases_needed(1 - i["margin"], 1.0, alpha=i["alpha"])},
    "obf_bounds_onesided": sequential_bounds,
    "forgetting": forgetting,
    "stuart_maxwell": chi_square,
    "f1_macro": lambda i: {"f1": macro_f1(predictions(i)).value},
    "f1_per_class": f1_per_class,
}

# --- what no gate uses ---------------------------------------------------------------------------

EXACT_MCNEMAR = "exact conditional McNemar: the gates use the mid-p, which it is cruder than"
CORRECTED = "continuity-corrected McNemar: the gates use the mid-p"
NEWCOMBE = "Newcombe interval: the gates use Tango's, which has a test at the margin"
WALD = "Wald interval: false passes up to 60% (statistics.md 1.2), never offered"
BONETT = "Bonett-Price interval: the gates use Tango's"
AGRESTI = "Agresti-Min interval: the gates use Tango's"
MID_P = "mid-p interval of one share: minimums use the exact Clopper-Pearson bound"
WILSON_CC = "continuity-corrected Wilson: minimums use Clopper-Pearson, displays plain Wilson"
JEFFREYS = "Jeffreys interval: minimums use Clopper-Pearson, displays Wilson"
TWO_SIDED = "two-sided binomial test: a minimum is one-sided"
TOST = "equivalence test: gates bound the lower side only, by Tango's test"
CLUSTERED = "clustered McNemar variant: groups enter through the effective number of cases"
ADJUSTED = "adjustment that Holm's replaces in the gates, whatever the tests depend on"
BETS = "test by betting: gates that look early use O'Brien-Fleming bounds"
CONFSEQ = "confseq's own strategy or boundary: the gates use O'Brien-Fleming bounds"
PPI = "plain PPI: the judge grades every case, so gates use two-phase sampling"
BOWKER = "symmetry test: gates ask for the shares of the labels, by Stuart and Maxwell's"

OUT_OF_SCOPE = {
    **{f"mcnemar-{k:02}": EXACT_MCNEMAR for k in (0, 1, 2, 3, 4, 5, 14, 15)},
    **{f"mcnemar-{k:02}": CORRECTED for k in (6, 7, 8, 13, 18)},
    "mcnemar-20": "two-sided exact unconditional with Berger-Boos: ours is one-sided at a margin",
    **{f"newcombe_paired_diff_ci-{k:02}": NEWCOMBE for k in range(7)},
    **{f"other_paired_diff_ci-{k:02}": WALD for k in range(4)},
    **{f"other_paired_diff_ci-{k:02}": BONETT for k in (4, 5)},
    "other_paired_diff_ci-06": AGRESTI,
    **{f"single_proportion_ci-{k:02}": MID_P for k in (2, 6, 10, 14)},
    **{f"single_proportion_ci-{k:02}": WILSON_CC for k in (3, 7, 11, 15, 37)},
    "single_proportion_ci-16": JEFFREYS,
    **{f"binom_test-{k:02}": TWO_SIDED for k in (2, 3, 4, 5, 6, 7, 10, 13, 14)},
    **{f"tost-{k:02}": TOST for k in range(5)},
    **{f"clustered-{k:02}": CLUSTERED for k in (1, 2, 3, 4, 6, 7, 8, 9)},
    "clustered-13": "regression slope with clustered errors: no gate fits a regression",
    "power_sample_size-01": "Miller's rough formula: sizes come from the exact Tango rule",
    **{f"multiplicity-{k:02}": ADJUSTED for k in (0, 2, 3, 4, 5, 7, 8, 9, 10, *range(12, 18))},
    **{f"paired_multiclass-{k:02}": BOWKER for k in (1, 3, 5)},
    **{f"sequential-{k:02}": BETS for k in (0, 1, 2, 3, 9, 10)},
    **{f"sequential-{k:02}": CONFSEQ for k in range(4, 9)},
    "bootstrap-00": "basic bootstrap interval: kappa has the percentile bounds",
    "bootstrap-01": "percentile bootstrap of a mean: gates bootstrap kappa alone",
    "bootstrap-02": "BCa bootstrap interval: undefined on degenerate data, not used",
    **{f"ppi-{k:02}": PPI for k in (0, 1, 3)},
    "ppi-02": "tuned PPI++: gates use two-phase sampling, whose weight is fixed",
    **{f"f1-{k:02}": "another mean of F1 than the macro mean, which gates use" for k in (1, 2)},
}

IN_SCOPE = sorted(VECTORS.keys() - OUT_OF_SCOPE.keys())


def agrees(found, vector):
    """Compare every expected number, with the tolerance that the vector states for it."""
    tolerance = vector["tolerance"]
    for name, expected in vector["expected"].items():
        if name in {"behaviour", "n_real", "se_inspect_ai"}:
            continue
        if expected is None:
            assert found[name] is None
            continue
        stem = name.split("_")[0]
        absolute = tolerance.get(f"{stem}_abs", tolerance.get("abs", 0.0))
        relative = tolerance.get("rel", 0.0)
        assert np.asarray(found[name], float) == pytest.approx(
            np.asarray(expected, float), abs=absolute, rel=relative
        ), name


@every_row("id_", IN_SCOPE)
def test_vector_is_reproduced(id_):
    vector = VECTORS[id_]
    if id_ == "clustered-12":
        with pytest.raises(ValueError, match="two groups"):
            clustered_se(vector["inputs"]["values"], vector["inputs"]["cluster"])
    elif id_ == "mcnemar-19":
        assert PRODUCT[vector["function"]](vector["inputs"])["p"] == 1.0
    else:
        agrees(PRODUCT[vector["function"]](vector["inputs"]), vector)


def test_every_vector_is_reproduced_or_accounted_for_with_a_reason():
    assert len(VECTORS) == 182
    assert OUT_OF_SCOPE.keys() <= VECTORS.keys()
    assert len(IN_SCOPE) + len(OUT_OF_SCOPE) == 182
    assert {VECTORS[id_]["function"] for id_ in IN_SCOPE} == PRODUCT.keys()

    assert {VECTORS[id_]["function"] for id_ in OUT_OF_SCOPE} & PRODUCT.keys() == {"binom_test"}

    assert all(len(reason) > 30 for reason in OUT_OF_SCOPE.values())
