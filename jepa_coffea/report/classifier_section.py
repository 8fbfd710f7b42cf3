"""What the classifiers of a hunt see and whether they see the mass, for the report."""

from typing import Any

from jepa_coffea.cwola.efficiency import WindowScores
from jepa_coffea.cwola.merits import sic_curve
from jepa_coffea.cwola.windows import HIGH, LOW, WINDOW, Windows
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.events import Events
from jepa_coffea.hunt.state import HuntResult, Run
from jepa_coffea.plots import (
    Band,
    Header,
    plot_efficiency,
    plot_roc,
    plot_score_profile,
    plot_scores,
    plot_sic,
)
from jepa_coffea.report.html import ReportFigure, ReportSection, ReportTable

ALIKE = "Without signal there is nothing to learn, and the three are alike."

QUANTILES = (
    "Quantiles of the score in bins of mass; a score of 0.9 is above those of 90 % of the sideband events. Level "
    "outside the window if the classifier does not know the mass."
)


def classifier_section(run: Run, result: HuntResult, header: Header) -> ReportSection:
    """What the classifiers see, and whether they see the mass.

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
    windows, figures, tables = run.config.mass.build(), [], []
    for scores in result.scores:
        if scores.problem:
            continue
        if result.events is not None:
            figures += _pictures(scores, result.events, windows, run.config, header)
        if scores.argos:
            rows = [
                [fold, chosen, *(merit.values())]
                for fold, (chosen, merit) in enumerate(zip(scores.chosen, scores.argos, strict=True))
            ]
            columns = ["fold", "chosen", *(f"ARGOS of {name}" for name in scores.argos[0])]
            tables.append(ReportTable(f"Choice of classifier, {scores.window.name}", columns, rows))
    return ReportSection("Classifiers and closure", tables=tables, figures=figures)


def _pictures(
    scores: WindowScores, events: Events, windows: Windows, config: HuntConfig, header: Header
) -> list[ReportFigure]:
    """Scores, efficiency and score against mass, and ROC and SIC where the truth is known."""
    name, mass, scored = scores.window.name, events.sample.mass, scores.scored
    window = (scores.window.low, scores.window.high)
    regions = {"window": WINDOW, "low sideband": LOW, "high sideband": HIGH}
    distributions = {label: scores.score[scored & (scores.region == code)] for label, code in regions.items()}
    passed = {
        f"Efficiency {e:g}": windows.histogram(mass[scores.selected(e)])
        for e in config.efficiencies
        if not scores.refusal(e)
    }
    axis: dict[str, Any] = {"window": window, "xlabel": config.mass.label, "header": header}
    # 1 - fraction: comparable between folds, rising with the score.
    profile = plot_score_profile(mass[scored], 1 - scores.fraction[scored], windows.edges, **axis)
    figures = [
        ReportFigure(f"Out-of-fold scores, {name}", plot_scores(distributions, header=header), ALIKE),
        ReportFigure(f"Score against mass, {name}", profile, QUANTILES),
    ]
    if passed:  # some efficiency has a threshold
        picture = plot_efficiency(windows.edges, windows.histogram(mass[scored]), passed, **axis)
        caption = "Level outside the window if the classifier does not know the mass."
        figures.insert(1, ReportFigure(f"Efficiency against mass, {name}", picture, caption))
    inside = scored & (scores.region == WINDOW)
    if events.truth is not None and (events.truth & inside).any() and (~events.truth & inside).sum() > 20:
        eff_s, eff_b, sic, floor = sic_curve(scores.fraction, events.truth & inside, ~events.truth & inside)
        label = {"CWoLa": Band(eff_s, eff_b)}
        figures.append(
            ReportFigure(f"ROC by generator truth, {name}", plot_roc(label, header=header), "Window events only.")
        )
        caption = "Window events only; shaded where fewer than 20 background events pass."
        curve = plot_sic({"CWoLa": Band(eff_b, sic)}, floor=floor, header=header)
        figures.append(ReportFigure(f"Significance improvement by generator truth, {name}", curve, caption))
    return figures
