"""What an injection study says: medians and bands over its seeds, and limits in units of what was injected."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.hunt.injection import METHODS
from jepa_coffea.hunt.null import Null
from jepa_coffea.hunt.selections import FUNCTION

Floats = npt.NDArray[np.float64]


def summarised(
    records: Sequence[dict[str, Any]], background: str = FUNCTION, null: Null | None = None
) -> list[dict[str, Any]]:
    """Medians and 16-84 % bands of an injection study over its seeds.

    A pseudo-experiment whose fit failed counts as Z = -infinity and as an infinite limit: a method that cannot be
    fitted gains nothing by it.

    Parameters
    ----------
    records
        From :func:`~jepa_coffea.hunt.injection.injection_study`.
    background
        The estimate that Z is by; the function where there is no selection.
    null
        Distribution without signal of the hunt's own Z at this window, efficiency and estimate: it corrects that of
        ``cwola``. Z of all other methods is as counted, as that of all methods is without it.

    Returns
    -------
    list of dict
        For each yield and method: Z and whether it is ``calibrated``, ``limit_selected`` on signal events that are
        selected in the window, ``limit`` on the injected yield (see :func:`in_yields`), selected signal, and SIC.
    """
    rows = []
    amounts = sorted({record["yield"] for record in records})
    for name in METHODS:
        response = [np.mean([r[name]["signal"] for r in records if r["yield"] == amount]) for amount in amounts]
        for amount in amounts:
            here = [record for record in records if record["yield"] == amount]
            calibrated = null is not None and name == "cwola"
            z = np.array([r[name].get(background, r[name]["function"])["z"] for r in here], dtype=float)
            if null is not None and calibrated:
                z = null.corrected(z)
            limit = np.array([r[name]["limit"] for r in here], dtype=float)
            limit = np.where(np.isfinite(limit), limit, np.inf)
            row = {
                "yield": amount,
                "method": name,
                "calibrated": calibrated,
                "experiments": len(here),
                "failed": int(np.count_nonzero(~np.isfinite(z))),
                **_band("z", np.where(np.isfinite(z), z, -np.inf)),
                **_band("limit_selected", limit),
                **_band("limit", in_yields(limit, amounts, response)),
                "signal": float(np.median([r[name]["signal"] for r in here])),
            }
            if name != "inclusive":
                sic = np.array([r[name]["sic"] for r in here], dtype=float)
                usable = np.isfinite(sic).all(axis=0)
                row["sic"] = [float(x) if ok else None for x, ok in zip(np.median(sic, axis=0), usable, strict=True)]
            rows.append(row)
    return sorted(rows, key=lambda row: row["yield"])


def _band(name: str, values: Floats) -> dict[str, float]:
    """Median and 16-84 % band, by rank, as infinities cannot be averaged."""
    low, middle, high = np.percentile(values, [16, 50, 84], method="nearest")
    return {f"{name}_low": float(low), name: float(middle), f"{name}_high": float(high)}


def in_yields(selected: Floats, yields: Sequence[int], response: Sequence[Any]) -> Floats:
    """Turn limits on selected signal events into limits on the injected yield.

    A classifier trained on the data selects a share of the signal that depends on how much there is, so a yield s
    is excluded when the mean number S(s) selected at that yield exceeds the limit; S is linear between the yields of
    the study, starts at S(0) = 0, goes on beyond the largest with the share found there, and is made monotone
    downwards, which can only weaken limits.

    Parameters
    ----------
    selected
        Limits on selected signal events, (limits,).
    yields
        Injected yields of the study.
    response
        Mean number of selected signal events at each.

    Returns
    -------
    array of float, (limits,)
        Infinite where nothing is selected at all.
    """
    positive = [(y, r) for y, r in zip(yields, response, strict=True) if y > 0]
    if not positive or positive[-1][1] <= 0:
        return np.full(len(selected), np.inf)
    x, s = np.array([(0, 0), *positive], dtype=float).T
    s = np.minimum.accumulate(s[::-1])[::-1]
    # Of several yields with the same S the largest is the cautious answer; interp wants S to rise.
    last = np.append(np.diff(s) > 0, True)
    last[0] = True
    inside = np.interp(selected, s[last], x[last])
    return np.where(selected > s[-1], selected * x[-1] / s[-1], inside)
