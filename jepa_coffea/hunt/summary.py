"""What was found and whether it may be believed, in one paragraph and without adjectives."""

import math
from collections.abc import Sequence

from jepa_coffea.cwola.closure import Gate
from jepa_coffea.hunt.calibration import Calibrated, GlobalP
from jepa_coffea.hunt.experiment import Counting


def reasons_against(
    results: Sequence[Counting], gates: Sequence[Gate], goodness: Sequence[tuple[str, float]], goodness_minimum: float
) -> list[str]:
    """Everything that forbids quoting the result; empty when nothing does."""
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


def describe(
    results: Sequence[Counting],
    calibrated: Sequence[Calibrated],
    search: GlobalP | None,
    learned: Sequence[str],
    reasons: Sequence[str],
    notes: Sequence[str] = (),
) -> str:
    """The paragraph.

    Args:
        results: selections that count as trials (with classifiers, or the inclusive ones of a plain bump hunt).
        calibrated: the same after calibration; empty without.
        search: the p-value of the whole search, if calibrated.
        learned: a sentence per window on whether its classifier sees a difference.
        reasons: why the result may not be quoted.
        notes: further sentences.
    """
    sentences = []
    usable = [result for result in results if not result.problem]
    if usable:
        best = max(range(len(usable)), key=lambda i: usable[i].z)
        result = usable[best]
        what = "without a classifier" if result.efficiency == 1 else f"at sideband efficiency {result.efficiency:g}"
        sentences.append(
            f"The largest local excess is in window {result.window} {what}: {result.n} events where "
            f"{result.b:.1f} ± {result.sigma_b:.1f} are expected, Z = {result.z:.2f} (p = {result.p:.2g}) as counted."
        )
    if search is not None:
        best_one = calibrated[search.where]
        counting, null = best_one.counting, best_one.null
        sentences.append(
            f"In {search.experiments} pseudo-experiments without signal, each with its own folds, training, "
            f"thresholds and fit, Z in window {counting.window} at efficiency {counting.efficiency:g} has the mean "
            f"{null.mean:.2f} ± {null.mean_error:.2f} and the width {null.width:.2f} ± {null.width_error:.2f}; "
            f"corrected, Z = {best_one.z:.2f} ± {best_one.z_error:.2f} (p = {best_one.p:.2g}; by rank "
            f"{best_one.rank_p:.2g})."
        )
        sentences.append(
            f"Over all {len(calibrated)} windows and efficiencies the global p-value is {search.p:.2g}"
            + (
                f" ({search.exceeding} of {search.experiments} pseudo-experiments reach as far)."
                if search.exceeding
                else f" at most: no pseudo-experiment reaches as far (Bonferroni: {search.bound:.2g})."
            )
        )
    elif results and any(result.efficiency < 1 for result in results):
        sentences.append(
            "No pseudo-experiments were made: the sum over folds is wider than its counts say, and this p-value is too "
            "small by an unknown amount."
        )
    sentences += learned
    sentences += notes
    if reasons:
        sentences.append("This result must not be quoted: " + "; ".join(reasons) + ".")
    elif search is None and any(result.efficiency < 1 for result in results):
        sentences.append("The closure gates are passed, but without calibration the p-value may not be believed.")
    elif search is not None and (search.bound if search.exceeding == 0 else search.p) < 0.00135:
        sentences.append(
            "All closure gates are passed: an excess that this analysis cannot explain without a signal. Look at it by "
            "other means before believing in a particle."
        )
    else:
        sentences.append("All checks are passed: the p-value may be believed; it is no evidence of a signal.")
    return " ".join(sentences)


def learning(window: str, value: float, error: float) -> str:
    """One sentence on the out-of-fold AUC of window against sidebands."""
    if value - 0.5 > 3 * error:
        return f"The classifier of {window} tells window from sidebands (AUC {value:.3f} ± {error:.3f})."
    return (
        f"The classifier of {window} learned nothing that holds out of fold (AUC {value:.3f} ± {error:.3f} of window "
        "against sidebands): its selection is close to random, as it should be without signal."
    )
