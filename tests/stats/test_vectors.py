"""Published reference vectors are reproduced by the package."""

from __future__ import annotations

import json
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from scipy.special import ndtr

from pytest_ftgate.scoring.classification import LabelPredictions, label_metrics
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
    "f1_per_class": f1_per_class,
}

# --- the comparison ----------------------------------------------------------------------------


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


@every_row("id_", sorted(VECTORS))
def test_vector_is_reproduced(id_):
    vector = VECTORS[id_]
    if id_ == "clustered-12":
        with pytest.raises(ValueError, match="two groups"):
            clustered_se(vector["inputs"]["values"], vector["inputs"]["cluster"])
    elif id_ == "mcnemar-19":
        assert PRODUCT[vector["function"]](vector["inputs"])["p"] == 1.0
    else:
        agrees(PRODUCT[vector["function"]](vector["inputs"]), vector)


def test_every_function_has_vectors():
    assert len(VECTORS) == 81
    assert {vector["function"] for vector in VECTORS.values()} == PRODUCT.keys()
