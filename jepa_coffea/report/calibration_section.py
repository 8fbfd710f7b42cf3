"""The calibration of the whole pipeline and the p-value of the whole search, for the report."""

import numpy as np

from jepa_coffea.hunt.look_elsewhere import GlobalP
from jepa_coffea.hunt.selections import ESTIMATES
from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.plots import Header, plot_null_p, plot_null_z
from jepa_coffea.report.html import ReportFigure, ReportSection, ReportTable, with_error

NAMES = {"function": "function", "sideband_efficiency": "sideband efficiency"}


def calibration_section(result: HuntResult, header: Header) -> ReportSection:
    """Z in the pseudo-experiments without signal, as counted.

    Parameters
    ----------
    result
        What the hunt found.
    header
        Line above the pictures.

    Returns
    -------
    ReportSection
        Empty without pseudo-experiments.
    """
    title, toys = "Calibration of the whole pipeline", result.calibration.toys(result.background)
    if toys is None:
        return ReportSection(title)
    nulls = {
        f"{one.selection.window}, {one.selection.efficiency:g}": column[np.isfinite(column)]
        for one, column in zip(result.selections, toys.T, strict=True)
        if one.calibrated(result.background) is not None
    }
    rows = []
    for one in result.selections:
        for estimate in ESTIMATES:
            corrected = one.calibrated(estimate)
            if corrected is None:
                continue
            null = corrected.null
            where = [one.selection.window, one.selection.efficiency, NAMES[estimate]]
            moments = [with_error(null.mean, null.mean_error, 3), with_error(null.width, null.width_error, 3)]
            rows.append([*where, len(null.toys), null.failed, *moments, null.function, null.gaussian_p])
    columns = ["window", "efficiency", "background by", "experiments", "failed fits", "mean of Z", "width of Z"]
    columns += ["by the choice of the function", "Gaussian p"]
    z_caption = (
        "Background-only pseudo-experiments with their own folds, training, thresholds and fit, as counted; background "
        f"by the {NAMES[result.background]}."
    )
    p_caption = (
        "How often p is below a threshold, over that threshold; 1 for p-values that hold as counted, with the 68 and "
        "95 % bands of so many experiments."
    )
    note = (
        "Gaussian p: of the Shapiro-Wilk test. Where it is small, quote the p by rank instead of the corrected one. By "
        "the choice of the function: what it adds to the width of Z in quadrature, since it is never wrong in "
        "pseudo-experiments, which are made with the function that is fitted."
    )
    figures = []
    if nulls:
        figures = [
            ReportFigure("Null pseudo-experiments: Z", plot_null_z(nulls, header=header), z_caption),
            ReportFigure("Null pseudo-experiments: p", plot_null_p(nulls, header=header), p_caption),
        ]
    search = result.calibration.search
    tables = [ReportTable("Z without signal", columns, rows, note)]
    if search is not None:
        tables.append(_search_table(result, search))
    return ReportSection(title, tables=tables, figures=figures)


def _search_table(result: HuntResult, search: GlobalP) -> ReportTable:
    """The global p-value, and what other ways of counting trials say."""
    selection = result.selections[search.where].selection
    where = f"{selection.window}, efficiency {selection.efficiency:g}"
    gross_vitells = search.gross_vitells if np.isfinite(search.gross_vitells) else None
    p = f"{'below ' if search.is_bound else ''}{search.p:.2g}"
    row = [where, search.largest_z, p, search.exceeding - search.failed, search.failed, search.bound, gross_vitells]
    columns = ["largest excess", "corrected Z", "global p", "exceeding", "failed", "Bonferroni", "Gross-Vitells"]
    caption = (
        f"Global p: (1 + exceeding + failed) / (1 + {search.experiments} pseudo-experiments), each judged by the "
        "others (leave-one-out). Bonferroni: trials times the smallest corrected p. Gross-Vitells: upcrossings along "
        "the windows of each efficiency, with several windows. The last two are upper bounds that rest on the Gaussian "
        "tail of corrected Z."
    )
    return ReportTable("Global significance", columns, [row], caption)
