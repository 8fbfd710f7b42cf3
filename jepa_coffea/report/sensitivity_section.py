"""The expected sensitivity of a blind hunt, for the report."""

from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.report.html import ReportSection, ReportTable, with_error


def sensitivity_section(result: HuntResult) -> ReportSection:
    """Expected backgrounds, significances and limits of a blind hunt.

    Parameters
    ----------
    result
        What the hunt found.

    Returns
    -------
    ReportSection
        Empty for a hunt that is not blind.
    """
    if not result.sensitivity:
        return ReportSection("Sensitivity")
    rows: list[list[object]] = [
        [
            one.window,
            one.efficiency,
            one.background.replace("_", " "),
            with_error(one.b, one.sigma_b, 1),
            None if one.problem else one.fit_p,
            None if one.null is None else with_error(one.null["mean"], one.null["mean_error"]),
            None if one.null is None else with_error(one.null["width"], one.null["width_error"]),
            None if one.problem else one.signal,
            one.problem or f"{one.expected_z:.2f} {'corrected' if one.calibrated else 'uncalibrated'}",
            None if one.limit is None else f"{one.limit[2]:.1f} ({one.limit[1]:.1f} to {one.limit[3]:.1f})",
        ]
        for one in result.sensitivity
    ]
    columns = ["window", "eff.", "background by", "b", "fit p", "null mean of Z", "null width", "signal", "expected Z"]
    columns.append("expected limit")
    caption = (
        "Blind: no number here knows how many events are in its window. Until the unblinding the sideband efficiency "
        "uses the events that a fit beside the window expects to fail the selection there. Signal: three times the "
        "square root of the background, events in the window; expected Z: of this signal. Limit: 95 % CLs on signal "
        "events in the window, median and 68 % band. Spectra, pictures of the classifiers and exports are made when "
        "the hunt is unblinded."
    )
    return ReportSection("Sensitivity", tables=[ReportTable("Blind selections", columns, rows, caption)])
