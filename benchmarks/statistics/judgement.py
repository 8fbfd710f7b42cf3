"""Whether p-values are uniform: shares of small ones with their errors, means and widths of Z, and the picture."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from scipy import stats

from jepa_coffea.hunt.null import Null, null_of

Floats = npt.NDArray[np.float64]

NOMINAL = float(stats.norm.sf(2))
"""0.0228"""
LEVELS = {f"p < {level}": float(stats.norm.sf(sigmas)) for level, sigmas in ((".1587", 1), (".0228", 2), (".00135", 3))}
"""One, two and three sigma, by name."""


def share_below(p: Floats, level: float = NOMINAL) -> dict[str, float]:
    """The share of p-values below a level, with its binomial error.

    Parameters
    ----------
    p
        p-values [experiment].
    level
        Where to cut.

    Returns
    -------
    dict
        ``share`` and its ``error``.
    """
    share = float((p < level).mean())
    return {"share": share, "error": float(np.sqrt(level * (1 - level) / len(p)))}


def judged(calibration: Floats, validation: Floats) -> dict[str, Any]:
    """Raw and corrected significances of the validation set, corrected with the calibration set.

    Parameters
    ----------
    calibration
        Z [experiment] to calibrate with.
    validation
        Z [experiment] to check on.

    Returns
    -------
    dict
        Means, widths, shares below 0.0228, and the p-values.
    """
    null = null_of(calibration)
    corrected = null.corrected(validation)
    rank = np.array([null.rank_p(z) for z in validation])
    after = Null(np.sort(corrected), 0)
    n_cal = len(calibration)
    return {
        "calibration_experiments": n_cal,
        "validation_experiments": len(validation),
        "raw": summary_of(validation),
        "corrected": {
            "mean": after.mean,
            "std": after.width,
            "std_error": float(np.hypot(after.width_error, after.width * null.width_error / null.width)),
        }
        | share_below(stats.norm.sf(corrected)),
        "rank": share_below(rank),
        "rank_p": rank.tolist(),
        "corrected_p": stats.norm.sf(corrected).tolist(),
        "raw_p": stats.norm.sf(validation).tolist(),
    }


def summary_of(z: Floats) -> dict[str, Any]:
    """Mean, width and shares of small p-values of significances, each with its error.

    Parameters
    ----------
    z
        [experiment].

    Returns
    -------
    dict
        Name to number.
    """
    null = Null(np.sort(z), 0)
    shares = {name: share_below(stats.norm.sf(z), level) for name, level in LEVELS.items()}
    moments = {"mean": null.mean, "mean_error": null.mean_error, "std": null.width, "std_error": null.width_error}
    return moments | share_below(stats.norm.sf(z)) | shares


def without_lists(judgement: dict[str, Any]) -> dict[str, Any]:
    """Without the single p-values, which are for the picture.

    Parameters
    ----------
    judgement
        From :func:`judged`.

    Returns
    -------
    dict
        Without the lists of p-values.
    """
    return {name: value for name, value in judgement.items() if not isinstance(value, list)}


def draw(result: dict[str, Any], path: Path) -> None:
    """Observed against nominal share of small p-values, before and after calibration.

    Parameters
    ----------
    result
        Of ``coverage``: for each order of the folds what :func:`judged` gives.
    path
        Of the picture.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
    levels = np.geomspace(2e-3, 0.5, 60)
    for axis, (order, title) in zip(
        axes, (("cross", "cross-fitted folds"), ("forward", "folds in forward order")), strict=True
    ):
        n = result[order]["validation_experiments"]
        band = np.sqrt(levels * (1 - levels) / n) / levels
        axis.fill_between(levels, 1 - band, 1 + band, color="0.88", label=f"binomial error, {n} experiments")
        for name, label, colour in (
            ("raw_p", "as counted", "tab:red"),
            ("corrected_p", "corrected by mean and width", "tab:blue"),
            ("rank_p", "corrected by rank", "tab:green"),
        ):
            p = np.sort(result[order][name])
            axis.plot(levels, np.searchsorted(p, levels) / n / levels, color=colour, label=label)
        axis.axhline(1, color="black", lw=0.8)
        axis.axvline(NOMINAL, color="black", lw=0.8, ls=":")
        axis.text(NOMINAL * 1.05, 0.03, "2 sigma", transform=axis.get_xaxis_transform())
        axis.set(
            xscale="log",
            xlabel="nominal p-value",
            title=f"{title}: std(Z) = {result[order]['raw']['std']:.2f} as counted",
        )
        axis.title.set_fontsize(11)
    axes[0].set(ylabel="observed / nominal share of null experiments", ylim=(0.3, 2.6))
    axes[0].legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=130)
    plt.close(figure)
