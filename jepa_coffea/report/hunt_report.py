"""The report and the pictures of a hunt, from what it found."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from jepa_coffea.cwola.gates import Gate
from jepa_coffea.files.folders import finished_folder, fresh_folder
from jepa_coffea.hunt.state import HuntResult, Run, SelectionResult
from jepa_coffea.hunt.verdict import AGREEMENT, headline
from jepa_coffea.plots import Header, save
from jepa_coffea.report.calibration_section import calibration_section
from jepa_coffea.report.classifier_section import classifier_section
from jepa_coffea.report.excess_section import excess_section
from jepa_coffea.report.function_section import function_section
from jepa_coffea.report.html import Check, Report, ReportFigure, write_report
from jepa_coffea.report.injection_section import injection_section
from jepa_coffea.report.limit_section import limit_section
from jepa_coffea.report.procedure import what_was_done
from jepa_coffea.report.sensitivity_section import sensitivity_section
from jepa_coffea.report.spectrum_section import spectrum_section


def write_hunt_report(run: Run, result: HuntResult) -> None:
    """Write report.html and the folder plots.

    Parameters
    ----------
    run
        The hunt.
    result
        What it found.
    """
    header = _header(run, result)
    sections = [
        section
        for section in (
            excess_section(result),
            sensitivity_section(result),
            spectrum_section(run, result, header),
            limit_section(result, header, run.config.kind_of_peak),
            function_section(result.functions),
            classifier_section(run, result, header),
            calibration_section(result, header),
            injection_section(result, header),
        )
        if section.tables or section.figures
    ]
    plots = fresh_folder(run.output / "plots", "plots")
    sections = [replace(section, figures=[_saved(figure, plots) for figure in section.figures]) for section in sections]
    finished_folder(plots)
    configuration = (run.output / "config.yaml").read_text()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    checks = [
        check for finding in result.everything for check in _fit_checks(finding, run.config.statistics.goodness_minimum)
    ]
    if result.calibration.fit_p is not None:
        name, meaning = (
            "Spectrum of the pseudo-data: goodness of fit",
            "the function does not describe the whole spectrum",
        )
        checks.append(_fit_check(name, result.calibration.fit_p, run.config.statistics.goodness_minimum, meaning))
    if result.scan is not None:
        p, name = result.scan.fit.p_value, f"{result.scan.label}: goodness of fit"
        checks.append(_fit_check(name, p, run.config.statistics.goodness_minimum, "the function does not describe it"))
    checks += [_gate_check(gate) for gate in result.closure.gates]
    report = Report(
        "Bump hunt",
        result.paragraph,
        checks,
        sections,
        configuration,
        created=created,
        headline=headline(result),
        procedure=what_was_done(run, result),
        reasons=result.reasons,
    )
    write_report(run.output / "report.html", report)


def _header(run: Run, result: HuntResult) -> Header:
    """Whether the events are simulated, how much data there are, at which energy."""
    simulated = result.events is not None and result.events.truth is not None
    luminosity = "" if run.config.luminosity is None else rf"{run.config.luminosity:g} fb$^{{-1}}$ "
    return Header("Simulation" if simulated else "", f"{luminosity}({run.config.statistics.energy / 1000:g} TeV)")


def _saved(figure: ReportFigure, folder: Path) -> ReportFigure:
    """The same figure with its picture as a file of the folder; drawing takes longer than all the rest."""
    if isinstance(figure.picture, Path):
        return figure
    name = "".join(c if c.isalnum() else "_" for c in figure.title.lower())
    return replace(figure, picture=save(figure.picture, folder / f"{name}.png", pdf=True))


def _gate_check(gate: Gate) -> Check:
    """A closure gate as the report shows it."""
    measured = "no number" if np.isnan(gate.value) else f"{gate.value:.3g} ± {gate.error:.2g}"
    return Check(f"{gate.window}: {gate.name}", gate.passed, measured, f"within {gate.threshold:.3g}", gate.explanation)


def _fit_check(name: str, p: float, goodness_minimum: float, meaning: str) -> Check:
    """Whether a background fit is good enough."""
    return Check(name, p >= goodness_minimum, f"p = {p:.2g}", f"at least {goodness_minimum:g}", meaning)


def _fit_checks(finding: SelectionResult, goodness_minimum: float) -> list[Check]:
    """Whether the background fit describes the sidebands, and whether the two estimates agree."""
    selection = finding.selection
    p = selection.function.fit_p
    meaning = selection.function.problem or "the function does not describe the spectrum beside the window"
    checks = [_fit_check(f"{selection.label}: goodness of fit", p, goodness_minimum, meaning)]
    if selection.sideband_efficiency is not None:
        pull, problem = selection.pull, selection.sideband_efficiency.problem
        meaning = problem or "function and sideband efficiency expect different backgrounds"
        name, required = f"{selection.label}: two background estimates", f"within {AGREEMENT:g}"
        checks.append(Check(name, abs(pull) <= AGREEMENT, f"pull {pull:.2f}", required, meaning))
    return checks
