"""The calibration of the whole pipeline and the p-value of the whole search, for the report."""

import numpy as np

from jepa_coffea.hunt.calibration import FUNCTION
from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.plots import plot_calibration
from jepa_coffea.report import Figure, Section, Table


def calibration_section(result: HuntResult) -> Section:
    """The null distribution of Z, raw and after correction."""
    if result.null is None:
        return Section("Calibration")
    nulls = {
        f"{c.counting.window}, {c.counting.efficiency:g}": column[np.isfinite(column)]
        for c, column in zip(result.calibrated, result.null[:, FUNCTION].T, strict=True)
    }
    rows = [
        [
            c.counting.window,
            c.counting.efficiency,
            estimate,
            len(corrected.null.toys),
            corrected.null.failed,
            f"{corrected.null.mean:.3f} ± {corrected.null.mean_error:.3f}",
            f"{corrected.null.width:.3f} ± {corrected.null.width_error:.3f}",
            corrected.null.gaussian_p,
        ]
        for c in result.calibrated
        for estimate, corrected in (("function", c.corrected), ("template", c.template))
        if not isinstance(corrected, str)
    ]
    columns = ["window", "efficiency", "background by", "experiments", "failed fits", "mean of Z", "width of Z"]
    columns += ["Gaussian p"]
    caption = (
        "Background-only pseudo-experiments with their own folds, training, thresholds and fit, as counted; background "
        "by the fitted function."
    )
    note = "Gaussian p: of the Shapiro-Wilk test. Where it is small, quote the p by rank instead of the corrected one."
    return Section(
        "Calibration of the whole pipeline",
        tables=[Table("Z under the null", columns, rows, note), *search_table(result)],
        figures=[Figure("Null pseudo-experiments", plot_calibration(nulls), caption)],
    )


def search_table(result: HuntResult) -> list[Table]:
    """The global p-value, and what other ways of counting trials say."""
    search = result.search
    if search is None:
        return []
    counting = result.calibrated[search.where].counting
    where = f"{counting.window}, efficiency {counting.efficiency:g}"
    gross_vitells = search.gross_vitells if np.isfinite(search.gross_vitells) else None
    row = [where, search.largest_z, search.p, search.exceeding, search.bound, gross_vitells]
    columns = ["largest excess", "corrected Z", "global p", "exceeding", "Bonferroni", "Gross-Vitells"]
    caption = (
        f"Global p: 1 + exceeding over 1 + {search.experiments} pseudo-experiments, each judged by the others. "
        "Bonferroni: trials times the smallest corrected p. Gross-Vitells: upcrossings along the windows of each "
        "efficiency, with several windows. The last two are upper bounds that rest on the Gaussian tail of corrected Z."
    )
    return [Table("Global significance", columns, [row], caption)]
