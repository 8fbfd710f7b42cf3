"""Limits against mass and against width, for the report."""

from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.plots import Header, plot_limits
from jepa_coffea.report.html import ReportFigure, ReportSection, ReportTable

CAPTION = (
    "95 % CLs limits on a Gaussian {shape}, in all events without a selection; green and yellow: 68 and 95 % of the "
    "limits expected without a signal. The signal that the background function may fake and the uncertainties of the "
    "signal are nuisances. Asymptotic: where fewer than 10 events are expected under the peak they are up to a third "
    "too tight; jepa_coffea.bumphunt.mass_limits with toys=1000 gives better ones there."
)


def limit_section(result: HuntResult, header: Header) -> ReportSection:
    """Limits without a selection: a picture against mass for each width, and one against width for each window.

    Parameters
    ----------
    result
        What the hunt found.
    header
        Line above the pictures.

    Returns
    -------
    ReportSection
        Empty where no limits are asked for.
    """
    figures, problems = [], []
    for axis, shape, curves in (
        ("mass", "of this width over mass", result.mass_limits),
        ("width", "in the middle of the window", result.width_limits),
    ):
        for at, curve in curves.items():
            if isinstance(curve, str):
                problems.append([at, curve])
                continue
            picture = plot_limits(curve, observed=not result.sensitivity, note=at, header=header)
            figures.append(ReportFigure(f"Limits against {axis}, {at}", picture, CAPTION.format(shape=shape)))
    tables = [ReportTable("No limits", ["at", "reason"], problems)] if problems else []
    return ReportSection("Limits", tables=tables, figures=figures)
