"""The report and the pictures of a hunt, from what it found."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from jepa_coffea.bumphunt.plots import (
    Band,
    plot_calibration,
    plot_efficiency,
    plot_global,
    plot_roc,
    plot_scan,
    plot_score_profile,
    plot_scores,
    plot_sic,
    plot_spectra,
    save,
)
from jepa_coffea.bumphunt.report import Figure, Report, Section, Table, write_report
from jepa_coffea.bumphunt.report import Gate as Verdict
from jepa_coffea.cwola.closure import Gate
from jepa_coffea.cwola.cwola import WindowScores
from jepa_coffea.cwola.selection import sic_curve
from jepa_coffea.cwola.windows import HIGH, LOW, WINDOW, Windows
from jepa_coffea.hunt.events import Events
from jepa_coffea.hunt.functions import functions_section
from jepa_coffea.hunt.injection_report import injection_section
from jepa_coffea.hunt.output import fresh_folder
from jepa_coffea.hunt.state import HuntResult, Run, Selection
from jepa_coffea.hunt.summary import AGREEMENT


def write_hunt_report(run: Run, result: HuntResult) -> None:
    """report.html and the folder plots."""
    sections = [
        section
        for section in (
            excesses(result),
            spectra_section(result),
            functions_section(result.functions),
            classifiers(run, result),
            calibration_section(result),
            injection_section(result),
        )
        if section.tables or section.figures
    ]
    plots = fresh_folder(run.output / "plots")
    sections = [replace(section, figures=[kept(figure, plots) for figure in section.figures]) for section in sections]
    configuration = (run.output / "config.yaml").read_text()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    gates = [verdict_of(gate) for gate in result.gates]
    report = Report("Bump hunt", result.paragraph, gates, sections, configuration, created=created)
    write_report(run.output / "report.html", report)


def kept(figure: Figure, folder: Path) -> Figure:
    """The same figure with its picture as a file of the folder; drawing takes longer than all the rest."""
    if isinstance(figure.picture, Path):
        return figure
    name = "".join(c if c.isalnum() else "_" for c in figure.title.lower())
    return replace(figure, picture=save(figure.picture, folder / f"{name}.png"))


def verdict_of(gate: Gate) -> Verdict:
    """A closure gate as the report shows it."""
    measured = "not measured" if np.isnan(gate.value) else f"{gate.value:.3g} ± {gate.error:.2g}"
    return Verdict(
        f"{gate.window}: {gate.name}", gate.passed, measured, f"within {gate.threshold:.3g}", gate.explanation
    )


def excesses(result: HuntResult) -> Section:
    """All numbers."""
    calibrated = {(c.counting.window, c.counting.efficiency): c for c in result.calibrated}
    rows = []
    for selection in (*result.baseline, *result.selections):
        counting, limit = selection.counting, selection.limit
        entry = calibrated.get((counting.window, counting.efficiency))
        rows.append(
            [
                counting.window,
                counting.efficiency,
                counting.n,
                f"{counting.b:.1f} ± {counting.sigma_b:.1f}",
                counting.z,
                counting.p,
                None if entry is None else f"{entry.z:.2f} ± {entry.z_error:.2f}",
                None if entry is None else entry.p,
                None if entry is None else entry.rank_p,
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
    rows = [
        [
            s.counting.window,
            s.counting.efficiency,
            f"{s.counting.b:.1f} ± {s.counting.sigma_b:.1f}",
            f"{s.template.b:.1f} ± {s.template.sigma_b:.1f}",
            s.counting.z,
            s.template.z,
            s.template.fit_p,
            s.template.pull,
            s.template.problem or ("agree" if abs(s.template.pull) <= AGREEMENT else "disagree"),
        ]
        for s in result.selections
        if s.template is not None
    ]
    columns = ["window", "eff.", "b, function", "b, template", "Z, function", "Z, template", "template fit p"]
    caption = (
        "Function: fitted to the selected spectrum beside the window. Template: the window's events that fail the "
        "selection times the odds of passing it, interpolated from the sidebands. They are to agree within "
        f"{AGREEMENT:g} standard deviations."
    )
    table = Table("Two background estimates", [*columns, "pull", "verdict"], rows, caption)
    return [table] if rows else []


def spectra_section(result: HuntResult) -> Section:
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
    scans = {s.label: s.scan for s in _distinct((*result.baseline, *result.selections)) if s.scan is not None}
    if scans:
        caption = "Signal-plus-background fits of the whole range, not corrected for the width of the null."
        figures.append(Figure("Local p0 against mass", plot_scan(scans), caption))
    if result.refitted is not None:
        caption = "Largest local significance in toys in which every fit is redone."
        figures.append(Figure("Global significance", plot_global(result.refitted), caption))
    return Section("Spectra", figures=figures)


def _distinct(selections: Sequence[Selection]) -> list[Selection]:
    """One baseline is enough: without a selection all windows have the same spectrum."""
    first = next((s for s in selections if s.counting.efficiency == 1), None)
    return [s for s in selections if s is first or s.counting.efficiency < 1]


def classifiers(run: Run, result: HuntResult) -> Section:
    """What the classifiers see, and whether they see the mass."""
    windows, figures, tables = run.config.mass.build(), [], []
    for scores in result.scores:
        if result.events is not None:
            figures += window_pictures(scores, result.events, windows, run.config.efficiencies)
        if scores.argos:
            rows = [
                [fold, chosen, *(merit.values())]
                for fold, (chosen, merit) in enumerate(zip(scores.chosen, scores.argos, strict=True))
            ]
            columns = ["fold", "chosen", *(f"ARGOS of {name}" for name in scores.argos[0])]
            tables.append(Table(f"Choice of classifier, {scores.window.name}", columns, rows))
    return Section("Classifiers and closure", tables=tables, figures=figures)


def window_pictures(
    scores: WindowScores, events: Events, windows: Windows, efficiencies: Sequence[float]
) -> list[Figure]:
    """Scores, efficiency and score against mass, and ROC and SIC where the truth is known."""
    name, mass, scored = scores.window.name, events.sample.mass, scores.scored
    window = (scores.window.low, scores.window.high)
    regions = {"window": WINDOW, "low sideband": LOW, "high sideband": HIGH}
    distributions = {label: scores.score[scored & (scores.region == code)] for label, code in regions.items()}
    passed = {f"{e:g}": windows.histogram(mass[scores.selected(e)]) for e in efficiencies}
    # 1 - fraction: comparable between folds, rising with the score.
    profile = plot_score_profile(mass[scored], 1 - scores.fraction[scored], windows.edges, window=window)
    figures = [
        Figure(f"Out-of-fold scores, {name}", plot_scores(distributions), "Alike without signal."),
        Figure(
            f"Efficiency against mass, {name}",
            plot_efficiency(windows.edges, windows.histogram(mass[scored]), passed, window=window),
            "Level outside the window if the classifier does not know the mass.",
        ),
        Figure(f"Score against mass, {name}", profile, "One minus the sideband efficiency at which an event passes."),
    ]
    inside = scored & (scores.region == WINDOW)
    if events.truth is not None and (events.truth & inside).any() and (~events.truth & inside).sum() > 20:
        eff_s, eff_b, sic, floor = sic_curve(scores.fraction, events.truth & inside, ~events.truth & inside)
        label = {"CWoLa": Band(eff_s, eff_b)}
        figures.append(Figure(f"ROC by generator truth, {name}", plot_roc(label), "Window events only."))
        caption = "Window events only; shaded where fewer than 20 background events pass."
        curve = plot_sic({"CWoLa": Band(eff_b, sic)}, floor=floor)
        figures.append(Figure(f"Significance improvement by generator truth, {name}", curve, caption))
    return figures


def calibration_section(result: HuntResult) -> Section:
    """The null distribution of Z, raw and after correction."""
    if result.null is None:
        return Section("Calibration")
    nulls = {
        f"{c.counting.window}, {c.counting.efficiency:g}": column[np.isfinite(column)]
        for c, column in zip(result.calibrated, result.null.T, strict=True)
    }
    rows = [
        [
            c.counting.window,
            c.counting.efficiency,
            len(c.null.toys),
            c.null.failed,
            f"{c.null.mean:.3f} ± {c.null.mean_error:.3f}",
            f"{c.null.width:.3f} ± {c.null.width_error:.3f}",
        ]
        for c in result.calibrated
    ]
    columns = ["window", "efficiency", "experiments", "failed fits", "mean of Z", "width of Z"]
    caption = "Background-only pseudo-experiments with their own folds, training, thresholds and fit, as counted."
    return Section(
        "Calibration of the whole pipeline",
        tables=[Table("Z under the null", columns, rows)],
        figures=[Figure("Null pseudo-experiments", plot_calibration(nulls), caption)],
    )
