"""Limits against mass and against width, for the report."""

import numpy as np

from jepa_coffea.bumphunt.limits import LimitCurve
from jepa_coffea.hunt.inclusive import EXCESS
from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.plots import Header, plot_limits
from jepa_coffea.report.html import ReportFigure, ReportSection, ReportTable

CAPTION = (
    "95 % CLs limits on a {peak} peak {shape}, in all events without a selection; green and yellow: 68 and 95 % of the "
    "limits expected without a signal. The signal that the background function may fake and the uncertainties of the "
    "signal are nuisances. {methods}"
)

CHOSEN = " These data chose the mass, at which an excess makes the observed limits weaker than the expected ones."


def limit_section(result: HuntResult, header: Header, peak: str = "Gaussian") -> ReportSection:
    """Limits without a selection: a picture against mass for each width, and one against width for each place.

    Parameters
    ----------
    result
        What the hunt found.
    header
        Line above the pictures.
    peak
        What the signal is like, in a word.

    Returns
    -------
    ReportSection
        Empty where no limits are asked for.
    """
    figures, problems = [], []
    for axis, shape, curves in (
        ("mass", "of this width over mass", result.mass_limits),
        ("width", "in the middle of the window" if result.scan is None else "at this mass", result.width_limits),
    ):
        for at, curve in curves.items():
            if isinstance(curve, str):
                problems.append([at, curve])
                continue
            problems += [
                [f"{at}, {axis} {curve.points[i]:.4g}", curve.methods[i]] for i in np.flatnonzero(~curve.known)
            ]
            picture = plot_limits(curve, observed=not result.sensitivity, note=at, header=header)
            caption = CAPTION.format(peak=peak, shape=shape, methods=methods_of(curve))
            if at.endswith(EXCESS):
                caption += CHOSEN
            figures.append(ReportFigure(f"Limits against {axis}, {at}", picture, caption))
    tables = [ReportTable("No limits", ["at", "reason"], problems)] if problems else []
    return ReportSection("Limits", tables=tables, figures=figures)


def methods_of(curve: LimitCurve) -> str:
    """How the limits of a curve were found.

    Parameters
    ----------
    curve
        The limits.

    Returns
    -------
    str
        A sentence for each way, with its masses or widths where there are several.
    """
    unit = " GeV" if curve.axis == "mass" else ""
    sentences = []
    found = [
        (point, method) for point, method, known in zip(curve.points, curve.methods, curve.known, strict=True) if known
    ]
    for method in dict.fromkeys(method for _, method in found):
        points = [point for point, other in found if other == method]
        where = f"{points[0]:.4g}{unit}" if len(points) == 1 else f"{points[0]:.4g} to {points[-1]:.4g}{unit}"
        sentences.append(f"At {where}, {len(points)} of {len(curve.points)} points: {method}.")
    return " ".join(sentences)
