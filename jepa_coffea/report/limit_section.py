"""Limits against mass, for the report."""

from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.plots import Header, plot_limits
from jepa_coffea.report.html import ReportFigure, ReportSection, ReportTable


def limit_section(result: HuntResult, header: Header) -> ReportSection:
    """Limits without a selection, one picture a width.

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
    for width, curve in result.mass_limits.items():
        if isinstance(curve, str):
            problems.append([width, curve])
            continue
        caption = (
            "95 % CLs limits on a Gaussian of this width over mass, in all events without a selection; green and "
            "yellow: 68 and 95 % of the limits expected without a signal. The signal that the background function may "
            "fake and the uncertainties of the signal are nuisances."
        )
        picture = plot_limits(curve, observed=not result.sensitivity, note=width, header=header)
        figures.append(ReportFigure(f"Limits against mass, {width}", picture, caption))
    tables = [ReportTable("No limits", ["width", "reason"], problems)] if problems else []
    return ReportSection("Limits against mass", tables=tables, figures=figures)
