"""The report and the pictures of a hunt, from what it found."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from jepa_coffea.cwola.gates import Gate
from jepa_coffea.hunt.function_study import functions_section
from jepa_coffea.hunt.output import fresh_folder
from jepa_coffea.hunt.state import HuntResult, Run
from jepa_coffea.hunt.verdict import AGREEMENT
from jepa_coffea.plots import save
from jepa_coffea.report import Figure, Report, write_report
from jepa_coffea.report import Gate as Verdict
from jepa_coffea.report.calibration_section import calibration_section
from jepa_coffea.report.classifier_section import classifiers
from jepa_coffea.report.excess_section import excesses, spectra_section
from jepa_coffea.report.injection_section import injection_section


def write_hunt_report(run: Run, result: HuntResult) -> None:
    """report.html and the folder plots."""
    sections = [
        section
        for section in (
            excesses(result),
            spectra_section(result, run.config.mass.build()),
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
    gates = [*fit_verdicts(result, run.config.statistics.goodness_minimum), *map(verdict_of, result.gates)]
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


def fit_verdicts(result: HuntResult, goodness_minimum: float) -> list[Verdict]:
    """Whether the background fits of the trials describe the sidebands, and whether the second estimate agrees."""
    verdicts = []
    for s in result.selections or result.baseline:
        p = float("nan") if s.fit is None else s.fit.p_value
        meaning = s.counting.problem or "the function does not describe the spectrum beside the window"
        required = f"at least {goodness_minimum:g}"
        verdicts.append(
            Verdict(f"{s.label}: goodness of fit", p >= goodness_minimum, f"p = {p:.2g}", required, meaning)
        )
        if s.template is not None:
            measured, meaning = f"pull {s.template.pull:.2f}", "function and template expect different backgrounds"
            agree = abs(s.template.pull) <= AGREEMENT
            required, meaning = f"within {AGREEMENT:g}", s.template.problem or meaning
            verdicts.append(Verdict(f"{s.label}: two background estimates", agree, measured, required, meaning))
    return verdicts
