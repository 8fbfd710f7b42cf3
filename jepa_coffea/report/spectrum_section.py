"""Spectra with their fits, and local p0 against mass, for the report."""

from collections.abc import Sequence
from dataclasses import replace

from jepa_coffea.bumphunt.scan import Scan
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.plots import CorrectedPoint, Header, plot_global, plot_scan, plot_spectra
from jepa_coffea.report.html import ReportFigure, ReportSection


def spectrum_section(result: HuntResult, windows: Windows, width: float, header: Header) -> ReportSection:
    """Spectra with fits, and local p0 against mass.

    Parameters
    ----------
    result
        What the hunt found.
    windows
        Where it looked.
    width
        Of the peak that was looked for along the mass, over its mass.
    header
        Line above the pictures.

    Returns
    -------
    ReportSection
    """
    figures = []
    selections = [finding.selection for finding in result.everything]
    for window in dict.fromkeys(finding.selection.window for finding in result.inclusive):
        here = [s for s in selections if s.window == window]
        fits = {s.label: s.function.fit for s in here if s.function.fit is not None}
        if fits:
            caption = (
                "Fit with the window masked, its sampled 68 and 95 % bands, and signed roots of each bin's deviance."
            )
            figures.append(ReportFigure(f"Spectra of {window}", plot_spectra(fits, header=header), caption))
    scans = _local_scans(result, windows)
    if scans:
        caption = (
            f"Gaussian peaks with a width of {width:.3g} of their mass. Curves: fits of signal and background to the "
            "whole range, without calibration; after a selection only inside the window of its classifiers. "
            "Points: counts in the windows, corrected by the pseudo-experiments."
        )
        picture = plot_scan(scans, corrected=_corrected_points(result, windows), header=header)
        figures.append(ReportFigure("Local p0 against mass", picture, caption))
    if result.refitted is not None:
        caption = "Largest local significance in toys in which every fit is redone."
        figures.append(ReportFigure("Global significance", plot_global(result.refitted, header=header), caption))
    return ReportSection("Spectra", figures=figures)


def _local_scans(result: HuntResult, windows: Windows) -> dict[str, Scan | Sequence[Scan]]:
    """Local p0 of all events, and of each efficiency inside every window.

    Classifiers of a window learned to reject events outside it, so a scan of their selection holds inside it only.
    """
    scans: dict[str, Scan | Sequence[Scan]] = {}
    if result.inclusive and result.inclusive[0].scan is not None:  # without a selection all windows have one spectrum
        scans["all events"] = result.inclusive[0].scan
    ends = {window.name: (window.low, window.high) for window in windows.windows}
    for efficiency in dict.fromkeys(finding.selection.efficiency for finding in result.selections):
        here = [one for one in result.selections if one.selection.efficiency == efficiency]
        pieces = [_inside(one.scan, *ends[one.selection.window]) for one in here if one.scan is not None]
        pieces = [piece for piece in pieces if len(piece.masses)]
        if pieces:
            scans[f"efficiency {efficiency:g}"] = pieces
    return scans


def _corrected_points(result: HuntResult, windows: Windows) -> dict[str, list[CorrectedPoint]]:
    """The corrected significance of every window, by efficiency."""
    points: dict[str, list[CorrectedPoint]] = {}
    ends = {window.name: (window.low, window.high) for window in windows.windows}
    for one in result.selections:
        corrected = one.calibrated(result.background)
        if corrected is not None:
            point = CorrectedPoint(ends[one.selection.window], corrected.z, corrected.z_error)
            points.setdefault(f"efficiency {one.selection.efficiency:g}", []).append(point)
    return points


def _inside(scan: Scan, low: float, high: float) -> Scan:
    """The scan between two masses."""
    kept = (scan.masses >= low) & (scan.masses <= high)
    columns = ("masses", "z", "p0", "yields", "errors")
    return replace(scan, **{name: getattr(scan, name)[kept] for name in columns})
