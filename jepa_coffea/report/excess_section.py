"""Counts, background estimates and spectra of a hunt, for the report."""

from collections.abc import Sequence
from dataclasses import replace

from jepa_coffea.bumphunt.scan import Scan
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.hunt.calibration import Calibrated
from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.hunt.verdict import AGREEMENT
from jepa_coffea.plots import plot_global, plot_scan, plot_spectra
from jepa_coffea.report import Figure, Section, Table


def excesses(result: HuntResult) -> Section:
    """All numbers."""
    calibrated = {(c.counting.window, c.counting.efficiency): c for c in result.calibrated}
    rows = []
    for selection in (*result.baseline, *result.selections):
        counting, limit = selection.counting, selection.limit
        entry = calibrated.get((counting.window, counting.efficiency))
        corrected = None if entry is None else entry.corrected
        rows.append(
            [
                counting.window,
                counting.efficiency,
                counting.n,
                f"{counting.b:.1f} ± {counting.sigma_b:.1f}",
                counting.z,
                counting.p,
                None if corrected is None else f"{corrected.z:.2f} ± {corrected.z_error:.2f}",
                None if corrected is None else corrected.p,
                None if corrected is None else corrected.rank_p,
                None if selection.fit is None else selection.fit.p_value,
                None if limit is None else f"{limit.events:.1f} ({limit.expected_events[2]:.1f})",
            ]
        )
    columns = ["window", "eff.", "n", "b", "Z", "p", "corr. Z", "corr. p", "rank p", "fit p", "limit (exp.)"]
    caption = (
        "Efficiency is that of the sidebands; 1 is no selection. n observed and b expected events. Corrected: by the "
        "pseudo-experiments. Limit: 95 % CLs, observed and expected, on selected signal events in the window."
    )
    tables = [Table("Windows and efficiencies", columns, rows, caption)]
    problems = [[s.label, s.counting.problem] for s in (*result.baseline, *result.selections) if s.counting.problem]
    if problems:
        tables.append(Table("No number", ["selection", "reason"], problems))
    return Section("Excesses", tables=[*tables, *estimates(result)])


def estimates(result: HuntResult) -> list[Table]:
    """Both background estimates of every selection."""
    calibrated = {(c.counting.window, c.counting.efficiency): c for c in result.calibrated}
    rows = [
        [
            s.counting.window,
            s.counting.efficiency,
            f"{s.counting.b:.1f} ± {s.counting.sigma_b:.1f}",
            f"{s.template.b:.1f} ± {s.template.sigma_b:.1f}",
            s.counting.z,
            s.template.z,
            *both_corrected(calibrated.get((s.counting.window, s.counting.efficiency))),
            s.template.fit_p,
            s.template.pull,
            s.template.problem or ("agree" if abs(s.template.pull) <= AGREEMENT else "disagree"),
        ]
        for s in result.selections
        if s.template is not None
    ]
    columns = ["window", "eff.", "b, function", "b, template", "Z, function", "Z, template"]
    columns += ["corr. Z, function", "corr. Z, template", "template fit p"]
    caption = (
        "Function: fitted to the selected spectrum beside the window. Template: the window's events that fail the "
        "selection times the odds of passing it, interpolated from the sidebands. They are to agree within "
        f"{AGREEMENT:g} standard deviations. Corrected: each against its own distribution in the pseudo-experiments; Z "
        "without it is as counted and may be too large."
    )
    table = Table("Two background estimates", [*columns, "pull", "verdict"], rows, caption)
    return [table] if rows else []


def both_corrected(entry: Calibrated | None) -> list[str]:
    """The corrected Z by function and by template, or that there is none."""
    corrected = ["uncalibrated", "uncalibrated"] if entry is None else [entry.corrected, entry.template]
    return ["uncalibrated" if isinstance(c, str) else f"{c.z:.2f} ± {c.z_error:.2f}" for c in corrected]


def spectra_section(result: HuntResult, windows: Windows) -> Section:
    """Spectra with fits, and local p0 against mass."""
    figures = []
    for window in dict.fromkeys(s.counting.window for s in result.baseline):
        here = [s for s in (*result.baseline, *result.selections) if s.counting.window == window]
        fits = {s.label: s.fit for s in here if s.fit is not None}
        if fits:
            caption = (
                "Fit with the window masked, its sampled 68 and 95 % bands, and signed roots of each bin's deviance."
            )
            figures.append(Figure(f"Spectra of {window}", plot_spectra(fits), caption))
    scans = local_scans(result, windows)
    if scans:
        caption = (
            "Signal-plus-background fits of the whole range, not corrected for the width of the null; after a "
            "selection only at masses inside the window that its classifiers were trained for."
        )
        figures.append(Figure("Local p0 against mass", plot_scan(scans), caption))
    if result.refitted is not None:
        caption = "Largest local significance in toys in which every fit is redone."
        figures.append(Figure("Global significance", plot_global(result.refitted), caption))
    return Section("Spectra", figures=figures)


def local_scans(result: HuntResult, windows: Windows) -> dict[str, Scan | Sequence[Scan]]:
    """Local p0 of all events, and of each efficiency inside every window.

    Elsewhere a selection by classifiers of a window means nothing: there they were trained to refuse.
    """
    scans: dict[str, Scan | Sequence[Scan]] = {}
    if result.baseline and result.baseline[0].scan is not None:  # without a selection all windows have one spectrum
        scans["all events"] = result.baseline[0].scan
    ends = {window.name: (window.low, window.high) for window in windows.windows}
    for efficiency in dict.fromkeys(s.counting.efficiency for s in result.selections):
        here = [s for s in result.selections if s.counting.efficiency == efficiency and s.scan is not None]
        pieces = [inside(s.scan, *ends[s.counting.window]) for s in here if s.scan is not None]
        pieces = [piece for piece in pieces if len(piece.masses)]
        if pieces:
            scans[f"efficiency {efficiency:g}"] = pieces
    return scans


def inside(scan: Scan, low: float, high: float) -> Scan:
    """The scan between two masses."""
    kept = (scan.masses >= low) & (scan.masses <= high)
    columns = ("masses", "z", "p0", "yields", "errors")
    return replace(scan, **{name: getattr(scan, name)[kept] for name in columns})
