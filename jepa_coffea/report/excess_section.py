"""Counts and background estimates of a hunt, for the report."""

from collections.abc import Sequence

from jepa_coffea.hunt.selections import ESTIMATES
from jepa_coffea.hunt.state import HuntResult, SelectionResult
from jepa_coffea.hunt.verdict import AGREEMENT
from jepa_coffea.report.html import ReportSection, ReportTable, with_error

SCAN_COLUMNS = ("peak", "mass [GeV]", "signal events", "local Z", "local p0")


def scan_rows(result: HuntResult) -> list[tuple[str, float, str, float, float]]:
    """The largest excess of a hunt without windows, for each width.

    Parameters
    ----------
    result
        What the hunt found.

    Returns
    -------
    list of tuple
        In the order of ``SCAN_COLUMNS``; empty for a hunt with windows.
    """
    rows = []
    for width, scan in result.scan.by_width.items() if result.scan else ():
        i = scan.best
        signal = with_error(float(scan.yields[i]), float(scan.errors[i]), 1)
        rows.append((width, float(scan.masses[i]), signal, float(scan.z[i]), float(scan.p0[i])))
    return rows


def excess_section(result: HuntResult) -> ReportSection:
    """All numbers of all selections, or of a scan without windows.

    Parameters
    ----------
    result
        What the hunt found.

    Returns
    -------
    ReportSection
        Empty for a blind hunt.
    """
    if result.scan is not None:
        caption = (
            "At each mass signal and background are fitted to the whole spectrum. The error of the signal is "
            "statistical; local Z counts the signal that the function may fake, too, where it is known. That many "
            "masses were tried is counted in the global p-value alone."
        )
        table = ReportTable("Largest excess for each width", SCAN_COLUMNS, scan_rows(result), caption)
        return ReportSection("Excesses", tables=[table])
    if not result.everything:
        return ReportSection("Excesses")
    columns = [
        "window",
        "eff.",
        "n",
        "b",
        "uncalibrated Z",
        "p",
        "corr. Z",
        "corr. p",
        "rank p",
        "fit p",
        "limit (exp.)",
    ]
    caption = (
        "Efficiency: share of the sideband events that pass; 1 is no selection. n: observed events; b: background "
        f"expected by the {result.background.replace('_', ' ')} (without a selection always by the function). "
        "Corrected: for mean and width of Z in the pseudo-experiments, to which the choice of the function adds, with "
        "the tails of Student's t. Limit: 95 % CLs, "
        "observed and expected, calibrated as Z is, on selected signal events in the window."
    )
    rows = [_row(one, result.background) for one in result.everything]
    tables = [ReportTable("Windows and efficiencies", columns, rows, caption)]
    selections = [finding.selection for finding in result.everything]
    estimates = [(s.label, s.by(result.background)) for s in selections]
    problems = [[label, estimate.problem] for label, estimate in estimates if estimate.problem]
    if problems:
        tables.append(ReportTable("No number", ["selection", "reason"], problems))
    return ReportSection("Excesses", tables=[*tables, *_estimates(result.selections)])


def _row(finding: SelectionResult, background: str) -> list[object]:
    selection, estimate, limit = finding.selection, finding.selection.by(background), finding.limit
    corrected = finding.calibrated(background)
    return [
        selection.window,
        selection.efficiency,
        selection.n,
        with_error(estimate.b, estimate.sigma_b, 1),
        estimate.z,
        estimate.p,
        None if corrected is None else with_error(corrected.z, corrected.z_error),
        None if corrected is None else corrected.p,
        None if corrected is None else corrected.rank_text,
        None if estimate.problem else estimate.fit_p,
        None if limit is None else f"{limit.events:.1f} ({limit.expected_events[2]:.1f})",
    ]


def _estimates(findings: Sequence[SelectionResult]) -> list[ReportTable]:
    """Both background estimates of every selection."""
    rows = []
    for finding in findings:
        s = finding.selection
        one, other = s.function, s.sideband_efficiency
        if other is None:
            continue
        rows.append(
            [
                s.window,
                s.efficiency,
                with_error(one.b, one.sigma_b, 1),
                with_error(other.b, other.sigma_b, 1),
                one.z,
                other.z,
                *(_corrected(finding, name) for name in ESTIMATES),
                s.degree,
                other.fit_p,
                s.pull,
                other.problem or ("agree" if abs(s.pull) <= AGREEMENT else "disagree"),
            ]
        )
    columns = ["window", "eff.", "b, function", "b, sideband efficiency"]
    columns += ["uncalibrated Z, function", "uncalibrated Z, sideband efficiency"]
    columns += ["corr. Z, function", "corr. Z, sideband efficiency", "degree", "fit p", "pull", "verdict"]
    caption = (
        "Function: fitted to the selected spectrum beside the window. Sideband efficiency: the window's events that "
        "fail the selection times the pass/fail ratio, fitted in the sidebands and interpolated into the window; its "
        "logarithm is a polynomial in mass of this degree, with this goodness of fit. "
        f"They must agree within {AGREEMENT:g} standard deviations. Corrected: each by its own distribution in the "
        "pseudo-experiments; the uncalibrated Z is as counted and may be too large."
    )
    return [ReportTable("Two background estimates", columns, rows, caption)] if rows else []


def _corrected(finding: SelectionResult, estimate: str) -> str:
    corrected = finding.calibrated(estimate)
    return "uncalibrated" if corrected is None else with_error(corrected.z, corrected.z_error)
