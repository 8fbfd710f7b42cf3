"""Outputs of two runs held against one another, whatever the order in which chunks were added up."""

from typing import Any

import hist
import numpy as np


def contents(histogram: hist.Hist) -> dict[tuple, np.ndarray]:
    """Category to the bins' values and variances, without empty categories."""
    found = {}
    categories = [axis for axis in histogram.axes if isinstance(axis, hist.axis.StrCategory)]
    for place in np.ndindex(*(axis.size for axis in categories)):
        names = {axis.name: axis.value(i) for axis, i in zip(categories, place, strict=True)}
        view = histogram[names].view(flow=True)
        if np.any(view.value):
            found[tuple(names.values())] = np.stack([view.value, view.variance])
    return found


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Hists, cutflow and event counts of two runs are equal, and there is something in them."""
    for name in ("mjj", "score"):
        ours, theirs = contents(found[name]), contents(expected[name])
        assert set(ours) == set(theirs) != set()
        for key, values in theirs.items():
            np.testing.assert_allclose(ours[key], values, rtol=1e-9, err_msg=f"{name} {key}")
    assert set(found["bookkeeping"]) == set(expected["bookkeeping"])
    for dataset, totals in expected["bookkeeping"].items():
        for name in ("events", "selected", "sumw"):
            np.testing.assert_allclose(found["bookkeeping"][dataset][name], totals[name])
        for cut, value in expected["cutflow"][dataset].items():
            np.testing.assert_allclose(found["cutflow"][dataset][cut], value)
