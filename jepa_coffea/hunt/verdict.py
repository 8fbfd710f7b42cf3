"""What was found and whether it may be believed, in one paragraph and without adjectives."""

import math
from collections.abc import Sequence

from jepa_coffea.bumphunt import GlobalSignificance
from jepa_coffea.cwola.gates import Gate
from jepa_coffea.hunt.calibration import Calibrated
from jepa_coffea.hunt.experiment import Counting
from jepa_coffea.hunt.global_p import GlobalP
from jepa_coffea.hunt.null import Corrected, Null
from jepa_coffea.hunt.state import Selection

EVIDENCE = 0.00135
"""Three standard deviations."""

NOT_GAUSSIAN = 0.01
"""Shapiro-Wilk p-value of the pseudo-experiments below which corrected p-values are not to be trusted."""

AGREEMENT = 3.0
"""Largest pull between the two background estimates."""


def reasons_against(
    results: Sequence[Counting], gates: Sequence[Gate], goodness: Sequence[tuple[str, float]], goodness_minimum: float
) -> list[str]:
    """What forbids quoting the result; empty when nothing does. :func:`disagreements` may forbid it as well."""
    reasons = [f"{r.window} at efficiency {r.efficiency:g} has no number: {r.problem}" for r in results if r.problem]
    reasons += [
        f"the background fit of {name} has p = {p:.2g}, below {goodness_minimum:g}"
        for name, p in goodness
        if p < goodness_minimum
    ]
    for gate in gates:
        if not gate.passed:
            measured = f"{gate.value:.3g} ± {gate.error:.2g}, threshold {gate.threshold:.3g}; "
            measured = measured if math.isfinite(gate.value) else ""
            reasons.append(f"closure gate '{gate.name}' of window {gate.window} failed ({measured}{gate.explanation})")
    return reasons


def disagreements(selections: Sequence[Selection]) -> list[str]:
    """Selections in which the two background estimates do not agree, or cannot be compared."""
    reasons = []
    for selection in selections:
        template, counting = selection.template, selection.counting
        if template is None or counting.problem:
            continue
        if template.problem:
            reasons.append(f"the second background estimate of {selection.label} has no number: {template.problem}")
        elif abs(template.pull) > AGREEMENT:
            reasons.append(
                f"the background estimates of {selection.label} disagree by {abs(template.pull):.1f} standard "
                f"deviations: {counting.b:.1f} ± {counting.sigma_b:.1f} by the fit, {template.b:.1f} ± "
                f"{template.sigma_b:.1f} by the efficiency in the sidebands"
            )
    return reasons


def describe(
    results: Sequence[Counting],
    calibrated: Sequence[Calibrated],
    search: GlobalP | None,
    refitted: GlobalSignificance | None,
    learned: Sequence[str],
    reasons: Sequence[str],
) -> str:
    """The paragraph.

    Args:
        results: selections that count as trials (with classifiers, or the inclusive ones of a plain bump hunt).
        calibrated: the same after calibration; empty without.
        search: the p-value of the whole search, if calibrated.
        refitted: the global significance of a histogram alone, by toys that refit.
        learned: sentences on what each window's classifier sees, and other notes.
        reasons: why the result may not be quoted.
    """
    sentences = []
    usable = [result for result in results if not result.problem]
    if usable:
        # The raw number and what it is worth after calibration are of the same selection.
        result = calibrated[search.where].counting if search is not None else max(usable, key=lambda found: found.z)
        what = "without a classifier" if result.efficiency == 1 else f"at sideband efficiency {result.efficiency:g}"
        sentences.append(
            f"The largest local excess is in window {result.window} {what}: {result.n} events where "
            f"{result.b:.1f} ± {result.sigma_b:.1f} are expected, Z = {result.z:.2f} (p = {result.p:.2g}) as counted."
        )
    if search is not None:
        counting, best_one = calibrated[search.where].counting, calibrated[search.where].corrected
        null = best_one.null
        sentences.append(
            f"In {search.experiments} pseudo-experiments without signal, each with its own folds, training, "
            f"thresholds and fit, Z in window {counting.window} at efficiency {counting.efficiency:g} has the mean "
            f"{null.mean:.2f} ± {null.mean_error:.2f} and the width {null.width:.2f} ± {null.width_error:.2f}; "
            f"corrected, Z = {best_one.z:.2f} ± {best_one.z_error:.2f} (p = {best_one.p:.2g}; by rank "
            f"{best_one.rank_p:.2g}). {not_gaussian(null)}{second_opinion(calibrated[search.where].template)}"
        )
        sentences.append(
            f"Over all {len(calibrated)} windows and efficiencies the global p-value is {search.p:.2g}"
            + (
                f" ({search.exceeding} of {search.experiments} pseudo-experiments reach as far)."
                if search.exceeding
                else f" at most: none of them reaches as far ({search.bound:.2g} by Bonferroni, extrapolated)."
            )
            + upper_bound(search.gross_vitells)
        )
    elif refitted is not None:
        reached = f"{refitted.exceeding} of {refitted.toys} toys, refitted, reach as far"
        sentences.append(
            f"Over all windows and the {refitted.hypotheses - len(results)} masses of the scan the largest local "
            f"significance is {refitted.local_z:.2f} ({refitted.search}, {refitted.hypothesis} GeV) and the global "
            f"p-value {refitted.p:.2g} ({reached}).{upper_bound(refitted.gross_vitells_p)}"
        )
    elif results and any(result.efficiency < 1 for result in results):
        sentences.append(
            "No pseudo-experiments were made: the sum over folds is wider than its counts say, and this p-value is too "
            "small by an unknown amount."
        )
    sentences += learned
    gaussian = search is None or calibrated[search.where].corrected.null.gaussian_p >= NOT_GAUSSIAN
    sentences.append(verdict(results, search, refitted, reasons, gaussian=gaussian))
    return " ".join(sentences)


def not_gaussian(null: Null) -> str:
    """A warning where the corrected p rests on a law that the pseudo-experiments do not follow."""
    if null.gaussian_p >= NOT_GAUSSIAN:
        return ""
    return f"These Z are not Gaussian (p = {null.gaussian_p:.2g}): quote the p by rank. "


def second_opinion(template: Corrected | str) -> str:
    """What the second background estimate makes of the same count."""
    if isinstance(template, str):
        return f"By the efficiency in the sidebands there is no calibrated number: {template}."
    return f"By the efficiency in the sidebands, corrected likewise, Z = {template.z:.2f} ± {template.z_error:.2f}."


def upper_bound(gross_vitells: float) -> str:
    """The cross-check of the global p-value; nothing where there is none."""
    return f" Gross and Vitells' upper bound is {gross_vitells:.2g}." if math.isfinite(gross_vitells) else ""


def verdict(
    results: Sequence[Counting],
    search: GlobalP | None,
    refitted: GlobalSignificance | None,
    reasons: Sequence[str],
    *,
    gaussian: bool,
) -> str:
    """The last sentence: whether the number may be quoted, and what it is evidence of."""
    if reasons:
        return "This result must not be quoted: " + "; ".join(reasons) + "."
    if search is None and refitted is None:
        classified = any(result.efficiency < 1 for result in results)
        return (
            "The closure gates are passed, but without calibration the p-value may not be believed."
            if classified
            else "No toys were made: the p-value is that of one place looked at, not of the search."
        )
    extrapolated = ""
    if search is not None:
        p = search.p
        if not search.exceeding and gaussian and search.bound < min(EVIDENCE, p):
            p = search.bound
            extrapolated = (
                f" Its p-value supposes that the null is Gaussian beyond the {search.experiments} pseudo-experiments; "
                f"{math.ceil(1 / EVIDENCE)} of them would count three standard deviations."
            )
    elif refitted is not None:
        p = refitted.p
    if p < EVIDENCE:
        return (
            "All checks are passed: an excess that this analysis cannot explain without a signal. Look at it by other "
            f"means before believing in a particle.{extrapolated}"
        )
    return "All checks are passed: the p-value may be believed. It is no evidence of a signal."


def learning(aucs: Sequence[tuple[str, float, float]]) -> str:
    """One sentence on the out-of-fold AUC (window, value, error) of each window against its sidebands."""
    seen = [f"{name} ({value:.3f} ± {error:.3f})" for name, value, error in aucs if value - 0.5 > 3 * error]
    rest = [f"{name} ({value:.3f} ± {error:.3f})" for name, value, error in aucs if value - 0.5 <= 3 * error]
    sentences = []
    if seen:
        sentences.append(f"Out of fold the classifiers of {', '.join(seen)} tell window from sidebands (AUC).")
    if rest:
        sentences.append(
            f"Over all events those of {', '.join(rest)} do so no better than chance (AUC), as expected without signal "
            "or with little."
        )
    return " ".join(sentences)
