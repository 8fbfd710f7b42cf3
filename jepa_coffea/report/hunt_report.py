"""The report and the pictures of a hunt, from what it found."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from jepa_coffea.cwola.gates import Gate
from jepa_coffea.files.folders import finished_folder, fresh_folder
from jepa_coffea.hunt.conclusion import conclude
from jepa_coffea.hunt.selections import SIDEBAND_EFFICIENCY
from jepa_coffea.hunt.state import HuntResult, Run, SelectionResult
from jepa_coffea.hunt.steps import step
from jepa_coffea.hunt.verdict import AGREEMENT, headline
from jepa_coffea.plots import Header, save
from jepa_coffea.report.calibration_section import calibration_section
from jepa_coffea.report.classifier_section import classifier_section
from jepa_coffea.report.excess_section import excess_section
from jepa_coffea.report.function_section import function_section
from jepa_coffea.report.html import Check, Report, ReportFigure, ReportSection, write_report
from jepa_coffea.report.injection_section import injection_section
from jepa_coffea.report.limit_section import limit_section
from jepa_coffea.report.procedure import what_was_done
from jepa_coffea.report.sensitivity_section import sensitivity_section
from jepa_coffea.report.spectrum_section import spectrum_section


def write_hunt_report(run: Run, result: HuntResult) -> HuntResult:
    """Write report.html and the folder plots.

    A part that fails is left out and said in its place; the result, which lies in its files already, is written again
    with this among the reasons against it.

    Parameters
    ----------
    run
        The hunt.
    result
        What it found.

    Returns
    -------
    HuntResult
        As the report shows it.
    """
    before = len(run.failed)
    sections, checks = _sections(run, result), _checks(run, result)
    procedure = step(
        run, "procedure", lambda: what_was_done(run, result), lambda _: "", reason="what was done is not in the report"
    )
    if len(run.failed) > before:
        result = conclude(run, result)
    before, shown = len(run.failed), result
    report = Report(
        "Bump hunt",
        result.paragraph,
        checks,
        sections,
        (run.output / "config.yaml").read_text(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        procedure=procedure,
        reasons=result.reasons,
    )
    step(
        run,
        "report.html",
        lambda: write_report(run.output / "report.html", replace(report, headline=headline(shown))),
        lambda _: None,
        reason="the report holds nothing but this paragraph",
    )
    if len(run.failed) > before:
        result = conclude(run, result)
        bare = replace(report, summary=result.paragraph, checks=[], sections=[], procedure="", reasons=result.reasons)
        write_report(run.output / "report.html", bare)
    return result


def _sections(run: Run, result: HuntResult) -> list[ReportSection]:
    """The sections that have something to show, their pictures in the folder plots."""
    header, peak = _header(run, result), run.config.kind_of_peak
    makers: dict[str, Callable[[], ReportSection]] = {
        "Excesses": lambda: excess_section(result),
        "Sensitivity": lambda: sensitivity_section(result),
        "Spectra": lambda: spectrum_section(run, result, header),
        "Limits": lambda: limit_section(result, header, peak),
        "Background function": lambda: function_section(result.functions),
        "Classifiers and closure": lambda: classifier_section(run, result, header),
        "Calibration of the whole pipeline": lambda: calibration_section(result, header),
        "Injections": lambda: injection_section(result, header),
    }
    made = [
        step(
            run,
            f"section {title} of the report",
            make,
            partial(_lost, title),
            reason=f"the section {title} of the report could not be made",
        )
        for title, make in makers.items()
    ]
    shown = [section for section in made if section.text or section.tables or section.figures]
    plots = step(
        run,
        "folder plots",
        lambda: fresh_folder(run.output / "plots", "plots"),
        lambda _: None,
        reason="the pictures have no files of their own",
    )
    if plots is None:
        return shown
    shown = [_saved(run, section, plots) for section in shown]
    finished_folder(plots)
    return shown


def _lost(title: str, problem: str) -> ReportSection:
    """What stands in for a section."""
    return ReportSection(title, f"This section could not be made: {problem}.")


def _saved(run: Run, section: ReportSection, folder: Path) -> ReportSection:
    """The same section with its pictures as files of the folder; drawing takes longer than all the rest."""
    pictures, lost = [], []
    for figure in section.figures:
        saved = step(
            run,
            f"picture {figure.title}",
            partial(_as_file, figure, folder),
            partial(_undrawn, figure.title),
            reason=f"the picture {figure.title} could not be drawn",
        )
        if isinstance(saved, str):
            lost.append(saved)
        else:
            pictures.append(saved)
    return replace(section, text=" ".join([section.text, *lost]).strip(), figures=pictures)


def _as_file(figure: ReportFigure, folder: Path) -> ReportFigure:
    """The same figure with its picture as a file of the folder."""
    if isinstance(figure.picture, Path):
        return figure
    name = "".join(c if c.isalnum() else "_" for c in figure.title.lower())
    return replace(figure, picture=save(figure.picture, folder / f"{name}.png", pdf=True))


def _undrawn(title: str, problem: str) -> str:
    """What stands in for a picture."""
    return f"The picture {title} could not be drawn: {problem}."


def _checks(run: Run, result: HuntResult) -> list[Check]:
    """All checks, or none where they fail themselves."""

    def made() -> list[Check]:
        least = run.config.statistics.goodness_minimum
        checks = [check for finding in result.everything for check in _fit_checks(finding, least, result.background)]
        if result.calibration.fit_p is not None:
            name = "Spectrum of the pseudo-data: goodness of fit"
            meaning = "the function does not describe the whole spectrum"
            checks.append(_fit_check(name, result.calibration.fit_p, least, meaning))
        if result.scan is not None:
            p, name = result.scan.fit.p_value, f"{result.scan.label}: goodness of fit"
            checks.append(_fit_check(name, p, least, "the function does not describe it"))
        return checks + [_gate_check(gate) for gate in result.closure.gates]

    return step(run, "checks", made, lambda _: [], reason="the checks are not in the report")


def _header(run: Run, result: HuntResult) -> Header:
    """Whether the events are simulated, how much data there are, at which energy."""
    simulated = result.events is not None and result.events.truth is not None
    luminosity = "" if run.config.luminosity is None else rf"{run.config.luminosity:g} fb$^{{-1}}$ "
    return Header("Simulation" if simulated else "", f"{luminosity}({run.config.statistics.energy / 1000:g} TeV)")


def _gate_check(gate: Gate) -> Check:
    """A closure gate as the report shows it."""
    measured = "no number" if np.isnan(gate.value) else f"{gate.value:.3g} ± {gate.error:.2g}"
    return Check(f"{gate.window}: {gate.name}", gate.passed, measured, f"within {gate.threshold:.3g}", gate.explanation)


def _fit_check(name: str, p: float, goodness_minimum: float, meaning: str) -> Check:
    """Whether a background fit is good enough."""
    return Check(name, p >= goodness_minimum, f"p = {p:.2g}", f"at least {goodness_minimum:g}", meaning)


def _fit_checks(finding: SelectionResult, goodness_minimum: float, background: str) -> list[Check]:
    """Whether the background fits describe the sidebands, and whether the two estimates agree."""
    selection = finding.selection
    p = selection.function.fit_p
    meaning = selection.function.problem or "the function does not describe the spectrum beside the window"
    checks = [_fit_check(f"{selection.label}: goodness of fit", p, goodness_minimum, meaning)]
    if selection.sideband_efficiency is not None:
        if background == SIDEBAND_EFFICIENCY:
            name, p = f"{selection.label}: smooth transfer factor", selection.sideband_efficiency.fit_p
            meaning = "the share of events that pass does not change smoothly with the mass"
            checks.append(_fit_check(name, p, goodness_minimum, meaning))
        pull, problem = selection.pull, selection.sideband_efficiency.problem
        meaning = problem or "function and sideband efficiency expect different backgrounds"
        name, required = f"{selection.label}: two background estimates", f"within {AGREEMENT:g}"
        checks.append(Check(name, abs(pull) <= AGREEMENT, f"pull {pull:.2f}", required, meaning))
    return checks
