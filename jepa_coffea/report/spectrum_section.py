"""Spectra with their fits, and local p0 against mass, for the report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jepa_coffea.bumphunt import GlobalSignificance
from jepa_coffea.bumphunt.scan import Scan
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.state import HuntResult, MassScan, Run
from jepa_coffea.plots import CorrectedPoint, Header, plot_global, plot_scan, plot_spectra
from jepa_coffea.report.html import ReportFigure, ReportSection


def spectrum_section(run: Run, result: HuntResult, header: Header) -> ReportSection:
    """Spectra with fits, and local p0 against mass.

    Parameters
    ----------
    run
        The hunt.
    result
        What it found.
    header
        Line above the pictures.

    Returns
    -------
    ReportSection
    """
    windows, width, label = run.config.mass.build(), run.config.widths[0], run.config.mass.label
    figures = []
    selections = [finding.selection for finding in result.everything]
    for window in dict.fromkeys(finding.selection.window for finding in result.inclusive):
        here = [s for s in selections if s.window == window]
        fits = {s.label: s.function.fit for s in here if s.function.fit is not None}
        if fits:
            caption = (
                "Fit with the window masked, its sampled 68 and 95 % bands, and signed roots of each bin's deviance."
            )
            figures.append(
                ReportFigure(f"Spectra of {window}", plot_spectra(fits, xlabel=label, header=header), caption)
            )
    if result.scan is not None:
        figures += _whole(result.scan, result.refitted, run.config, header)
    scans = _local_scans(result, windows)
    if scans:
        caption = (
            f"{run.config.kind_of_peak.capitalize()} peaks with a width of {width:.3g} of their mass. Curves: fits of "
            "signal and background to the whole range, without calibration; after a selection only inside the window "
            "of its classifiers. "
            f"{_faked(scans)} Points: counts in the windows, corrected by the pseudo-experiments."
        )
        picture = plot_scan(scans, corrected=_corrected_points(result, windows), header=header)
        figures.append(ReportFigure("Local p0 against mass", picture, caption))
    if result.refitted is not None:
        caption = "Largest local significance in toys in which every fit is redone."
        figures.append(ReportFigure("Global significance", plot_global(result.refitted, header=header), caption))
    return ReportSection("Spectra", figures=figures)


def _whole(
    scanned: MassScan, refitted: GlobalSignificance | None, config: HuntConfig, header: Header
) -> list[ReportFigure]:
    """Spectrum and local p0 of a hunt without windows."""
    spectrum = plot_spectra({"all events": scanned.fit}, xlabel=config.mass.label, header=header)
    caption = (
        f"Fit of background alone to the {scanned.label}, its sampled 68 and 95 % bands, and signed roots of each "
        "bin's deviance."
    )
    p, bound = (None, False) if refitted is None else (refitted.p, refitted.is_bound)
    picture = plot_scan(scanned.by_width, calibrated=True, global_p=p, global_is_bound=bound, header=header)
    text = (
        f"{config.kind_of_peak.capitalize()} peaks of these widths over their mass. Signal-plus-background fits of "
        "the whole spectrum; the signal that the function may fake is counted where it is known."
    )
    return [ReportFigure("Spectrum", spectrum, caption), ReportFigure("Local p0 against mass", picture, text)]


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


def _faked(scans: Mapping[str, Scan | Sequence[Scan]]) -> str:
    """Whether the curves count the signal that the function may fake."""
    groups = {label: [group] if isinstance(group, Scan) else group for label, group in scans.items()}
    without = [label for label, group in groups.items() if any(one.spurious is None for one in group)]
    counted = (
        "The signal that the function may fake is an uncertainty of each peak, after a selection in proportion to the "
        "background."
    )
    if not without:
        return counted
    missing = f"What the function may fake is not known and left out for {', '.join(without)}."
    return missing if len(without) == len(groups) else f"{counted} {missing}"


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
    columns = ("masses", "z", "p0", "yields", "errors", "spurious")
    values = {name: getattr(scan, name) for name in columns}
    return replace(scan, **{name: value[kept] for name, value in values.items() if value is not None})
