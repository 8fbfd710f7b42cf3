"""What was found and whether it may be believed, in one paragraph and without adjectives."""

import math
from collections.abc import Sequence

from jepa_coffea.hunt.look_elsewhere import GlobalP
from jepa_coffea.hunt.null import Corrected, Null
from jepa_coffea.hunt.selections import ESTIMATES, SIDEBAND_EFFICIENCY
from jepa_coffea.hunt.state import HuntResult, MassScan, SelectionResult

EVIDENCE = 0.00135
"""Three standard deviations."""

NOT_GAUSSIAN = 0.01
"""Shapiro-Wilk p-value of the pseudo-experiments below which corrected p-values are not to be trusted."""

AGREEMENT = 3.0
"""Largest pull between the two background estimates."""


def reasons_against(found: HuntResult, goodness_minimum: float, *, blind: bool = False) -> list[str]:
    """What forbids quoting the result; :func:`disagreements` may forbid it as well.

    Parameters
    ----------
    found
        The trials are its selections, or without classifiers its inclusive counts.
    goodness_minimum
        Smallest p-value of a background fit.
    blind
        Tell nothing of the goodness of a fit that saw windows but that it is too small.

    Returns
    -------
    list of str
        Empty when nothing does.
    """
    trials = [finding.selection for finding in found.selections or found.inclusive]
    estimates = [(s.label, s.by(found.background)) for s in trials]
    reasons = [f"{label} has no number: {estimate.problem}" for label, estimate in estimates if estimate.problem]
    # The inclusive fits as well: pseudo-data are made of that of one window, or with several of the whole spectrum.
    fitted = [(s.label, s.function) for s in trials]
    fitted += [(one.selection.label, one.selection.function) for one in found.inclusive if found.selections]
    reasons += [
        f"the background fit of {label} has p = {estimate.fit_p:.2g}, below {goodness_minimum:g}"
        for label, estimate in fitted
        if estimate.fit_p < goodness_minimum
    ]
    reasons += [
        f"the transfer factor of {s.label}, which the result is by, is not smooth in the sidebands: p = "
        f"{s.sideband_efficiency.fit_p:.2g}, below {goodness_minimum:g}"
        for s in trials
        if found.background == SIDEBAND_EFFICIENCY
        and s.sideband_efficiency is not None
        and s.sideband_efficiency.fit_p < goodness_minimum
    ]
    if found.calibration.fit_p is not None and found.calibration.fit_p < goodness_minimum:
        has = "p" if blind else f"p = {found.calibration.fit_p:.2g},"
        reasons.append(
            f"the background fit of the whole spectrum, of which pseudo-data are made, has {has} below "
            f"{goodness_minimum:g}"
        )
    if found.scan is not None and found.scan.fit.p_value < goodness_minimum:
        p = found.scan.fit.p_value
        reasons.append(f"the background fit of the {found.scan.label} has p = {p:.2g}, below {goodness_minimum:g}")
    reasons += [] if found.functions is None else found.functions.doubts
    for gate in found.closure.gates:
        if not gate.passed:
            measured = f"{gate.value:.3g} ± {gate.error:.2g}, threshold {gate.threshold:.3g}; "
            measured = measured if math.isfinite(gate.value) else ""
            reasons.append(f"closure gate '{gate.name}' of window {gate.window} failed ({measured}{gate.explanation})")
    for finding in found.selections:
        problem = finding.corrected.get(found.background)
        if isinstance(problem, str) and not finding.selection.by(found.background).problem:
            reasons.append(f"{finding.selection.label} is not calibrated: {problem}")
    if found.selections and found.calibration.null is None and not found.calibration.problem:
        reasons.append("no significance is calibrated: there are no pseudo-experiments (calibration.experiments)")
    if found.calibration.problem:
        reasons.append(f"no significance is calibrated: {found.calibration.problem}")
    if found.injection.problem:
        reasons.append(f"there is no injection study: {found.injection.problem}")
    return reasons


def disagreements(findings: Sequence[SelectionResult], *, blind: bool = False) -> list[str]:
    """Selections in which the two background estimates do not agree, or cannot be compared.

    Parameters
    ----------
    findings
        Of the data.
    blind
        Tell no numbers: one of the estimates is made of the window's events that fail.

    Returns
    -------
    list of str
        Why the result must not be quoted; empty when they agree.
    """
    reasons = []
    for finding in findings:
        selection = finding.selection
        one, other = selection.function, selection.sideband_efficiency
        if other is None or one.problem:
            continue
        if other.problem:
            reasons.append(f"the sideband efficiency gives no background for {selection.label}: {other.problem}")
        elif abs(selection.pull) > AGREEMENT and blind:
            reasons.append(
                f"the background estimates of {selection.label} disagree by more than {AGREEMENT:g} standard deviations"
            )
        elif abs(selection.pull) > AGREEMENT:
            reasons.append(
                f"the background estimates of {selection.label} disagree by {abs(selection.pull):.1f} standard "
                f"deviations: {one.b:.1f} ± {one.sigma_b:.1f} by the fitted function, {other.b:.1f} ± "
                f"{other.sigma_b:.1f} by the sideband efficiency"
            )
    return reasons


def describe(found: HuntResult, notes: Sequence[str], reasons: Sequence[str]) -> str:
    """What was found, in one paragraph.

    Parameters
    ----------
    found
        The hunt.
    notes
        Sentences on what each window's classifier sees, and on what was left out.
    reasons
        Why the result may not be quoted.

    Returns
    -------
    str
    """
    search, refitted = found.calibration.search, found.refitted
    trials = found.selections or found.inclusive
    sentences = []
    best = largest_excess(found)
    if found.scan is not None:
        sentences.append(_scanned(found.scan))
    if best is not None:
        selection, estimate = best.selection, best.selection.by(found.background)
        what = (
            "without a classifier" if selection.efficiency == 1 else f"at sideband efficiency {selection.efficiency:g}"
        )
        sentences.append(
            f"The largest local excess is in window {selection.window} {what}: {selection.n} events where "
            f"{estimate.b:.1f} ± {estimate.sigma_b:.1f} are expected by the {_words(found.background)}, uncalibrated "
            f"Z = {estimate.z:.2f} (p = {estimate.p:.2g}) as counted."
        )
    if search is not None and best is not None:
        sentences += _calibrated(best, search, found.background)
    elif refitted is not None and found.scan is not None:
        upper = "" if refitted.is_bound else _upper_bound(refitted.gross_vitells_p)
        sentences.append(f"{refitted.hypotheses} masses and widths were tried. {refitted.sentence}{upper}")
    elif refitted is not None:
        sentences.append(
            f"Over all windows and the {refitted.hypotheses - len(trials)} masses and widths of the scan the largest "
            f"local significance is {refitted.local_z:.2f} ({refitted.search}, {refitted.hypothesis} GeV). "
            f"{refitted.sentence}" + ("" if refitted.is_bound else _upper_bound(refitted.gross_vitells_p))
        )
    elif found.selections:
        sentences.append(
            f"{_uncalibrated(found).capitalize()}. The sum over folds fluctuates more than a Poisson count, so that "
            "p-values as counted are too small by an unknown amount."
        )
    sentences += [*notes, *found.without_limits]
    sentences.append(_verdict(found, best, reasons))
    return " ".join(sentences)


def _uncalibrated(found: HuntResult) -> str:
    """Why there is no p-value of the whole search."""
    null = found.calibration.null
    if null is None:
        return "there are no pseudo-experiments"
    if any(one.calibrated(found.background) for one in found.selections):
        return "there is no p-value of the whole search"
    return f"{len(null)} pseudo-experiments were made and calibrate no selection"


def largest_excess(found: HuntResult) -> SelectionResult | None:
    """The selection with the largest Z.

    Parameters
    ----------
    found
        The hunt.

    Returns
    -------
    SelectionResult or None
        By corrected Z if there is a calibration; None where nothing has a number.
    """
    search = found.calibration.search
    if search is not None:
        return found.selections[search.where]
    estimate = {id(one): one.selection.by(found.background) for one in found.selections or found.inclusive}
    usable = [one for one in found.selections or found.inclusive if not estimate[id(one)].problem]
    return max(usable, key=lambda one: estimate[id(one)].z, default=None)


def _scanned(scanned: MassScan) -> str:
    """The largest excess of a scan without windows."""
    width, scan = scanned.largest
    i = scan.best
    if scan.spurious is None:
        faked = " (statistical; the signal that the function may fake is not known)"
    else:
        faked = f" (statistical) ± {scan.spurious[i]:.1f} (what the function may fake)"
    return (
        f"The largest local excess is at {scan.masses[i]:.4g} GeV for a peak of relative {width}: "
        f"{scan.yields[i]:.1f} ± {scan.errors[i]:.1f}{faked} signal events by a fit of signal and background to the "
        f"whole spectrum, local Z = {scan.z[i]:.2f} (p = {scan.p0[i]:.2g})."
    )


def _words(background: str) -> str:
    """An estimate as sentences name it."""
    return background.replace("_", " ")


def _calibrated(best: SelectionResult, search: GlobalP, background: str) -> list[str]:
    """What the largest excess is worth after calibration, alone and among all trials."""
    selection, corrected = best.selection, best.calibrated(background)
    (other,) = set(ESTIMATES) - {background}
    assert corrected is not None
    null = corrected.null
    alone = (
        f"In {search.experiments} pseudo-experiments without signal, each with its own folds, training, "
        f"thresholds and fit, Z in window {selection.window} at efficiency {selection.efficiency:g} has the mean "
        f"{null.mean:.2f} ± {null.mean_error:.2f} and the width {null.width:.2f} ± {null.width_error:.2f}. "
        f"{_wrong_function(null)}, with the tails of Student's t for this number of experiments, "
        f"Z = {corrected.z:.2f} ± {corrected.z_error:.2f} (p = {corrected.p:.2g}; by rank "
        f"{corrected.rank_text}). {_not_gaussian(null)}{_second_opinion(other, best.corrected[other])}"
    )
    return [alone, search.sentence + _upper_bound(search.gross_vitells)]


def _wrong_function(null: Null) -> str:
    """What is corrected for."""
    if not null.function:
        return "Corrected for both"
    return (
        f"Corrected for both and for the choice of the function, which is never wrong in these experiments and adds "
        f"{null.function:.2f} to the width in quadrature"
    )


def _not_gaussian(null: Null) -> str:
    """A warning where the corrected p assumes a Gaussian null and the pseudo-experiments are not Gaussian."""
    if null.gaussian_p >= NOT_GAUSSIAN:
        return ""
    return f"These Z are not Gaussian (p = {null.gaussian_p:.2g}): quote the p by rank. "


def _second_opinion(name: str, other: Corrected | str) -> str:
    """What the other background estimate makes of the same count."""
    if isinstance(other, str):
        return f"By the {_words(name)}, the cross-check, there is no calibrated number: {other}."
    return f"By the {_words(name)}, the cross-check, corrected likewise, Z = {other.z:.2f} ± {other.z_error:.2f}."


def _upper_bound(gross_vitells: float) -> str:
    """The cross-check of the global p-value; nothing where there is none."""
    return f" Gross and Vitells' upper bound is {gross_vitells:.2g}." if math.isfinite(gross_vitells) else ""


def _verdict(found: HuntResult, best: SelectionResult | None, reasons: Sequence[str]) -> str:
    """The last sentence: whether the number may be quoted, and what it is evidence of."""
    search, refitted = found.calibration.search, found.refitted
    if reasons:
        return "This result must not be quoted: " + "; ".join(reasons) + "."
    if search is None and refitted is None:
        return (
            "No toys were asked for (statistics.global_toys: 0): the p-value is that of one window, not that of the "
            "whole search."
        )
    extrapolated = ""
    if search is not None and best is not None:
        p, corrected = search.p, best.calibrated(found.background)
        gaussian = corrected is not None and corrected.null.gaussian_p >= NOT_GAUSSIAN
        if search.is_bound and gaussian and search.bound < min(EVIDENCE, p):
            p = search.bound
            extrapolated = (
                f" Its p-value assumes that the null is Gaussian also where none of the {search.experiments} "
                f"pseudo-experiments reach; without this assumption three standard deviations need "
                f"{math.ceil(1 / EVIDENCE)} of them."
            )
    elif refitted is not None:
        p, bound = refitted.p, refitted.gross_vitells_p
        if refitted.is_bound and bound < min(EVIDENCE, p):
            p = bound
            extrapolated = " Its p-value is the upper bound of Gross and Vitells, as no toy reaches as far as the data."
    if p < EVIDENCE:
        return (
            "All checks are passed: an excess that this analysis cannot explain without a signal. Look at it by other "
            f"means before believing in a particle.{extrapolated}"
        )
    if search.is_bound if search is not None else refitted is not None and refitted.is_bound:
        done = "pseudo-experiments" if search is not None else "toys"
        return (
            f"All checks are passed: the p-value may be believed, but it is only an upper bound. With so few {done} "
            f"there can be no evidence of a signal, and none is excluded; for three standard deviations it takes "
            f"{math.ceil(1 / EVIDENCE)} of them."
        )
    return "All checks are passed: the p-value may be believed. It is no evidence of a signal."


def learning(aucs: Sequence[tuple[str, float, float]]) -> str:
    """What the classifiers tell apart, out of fold.

    Parameters
    ----------
    aucs
        Name of the window, AUC of the window against its sidebands, error of the AUC.

    Returns
    -------
    str
        One sentence or two.
    """
    seen = [f"{name} ({value:.3f} ± {error:.3f})" for name, value, error in aucs if value - 0.5 > 3 * error]
    rest = [f"{name} ({value:.3f} ± {error:.3f})" for name, value, error in aucs if value - 0.5 <= 3 * error]
    sentences = []
    if seen:
        sentences.append(f"Out of fold the classifiers of {', '.join(seen)} tell window from sidebands (AUC).")
    if rest:
        sentences.append(
            f"Over all events those of {', '.join(rest)} do so no better than chance (AUC), as expected with little or "
            "no signal."
        )
    return " ".join(sentences)


def headline(found: HuntResult) -> list[tuple[str, str]]:
    """The numbers of the result, all by one background estimate.

    Parameters
    ----------
    found
        The hunt.

    Returns
    -------
    list of tuple of str
        Names and values: selection, observed, expected, local Z, global p with how it was obtained, limit,
        why not to quote it, sqrt(s); empty where nothing has a number.
    """
    if found.sensitivity:
        rows = _blind(found)
    else:
        rows = _counted(found) if found.scan is None else _of_scan(found.scan)
        if rows:
            rows += _judged(found)
    return [*rows, ("Energy", found.energy)] if rows and found.energy else rows


def _counted(found: HuntResult) -> list[tuple[str, str]]:
    """Of a hunt that is not blind: the largest excess."""
    best = largest_excess(found)
    if best is None:
        return []
    selection, estimate, corrected = (
        best.selection,
        best.selection.by(found.background),
        best.calibrated(found.background),
    )
    how = found.background if selection.estimates.keys() & {found.background} else "function"
    local = f"{estimate.z:.2f} uncalibrated"
    if corrected is not None:
        local = f"{corrected.z:.2f} ± {corrected.z_error:.2f} (p = {corrected.p:.2g}), calibrated"
    return [
        ("Largest excess", selection.label),
        ("Observed", str(selection.n)),
        ("Expected", f"{estimate.b:.1f} ± {estimate.sigma_b:.1f}, by the {how.replace('_', ' ')}"),
        ("Local Z", local),
    ]


def _of_scan(scanned: MassScan) -> list[tuple[str, str]]:
    """Of a scan without windows: the largest excess."""
    width, scan = scanned.largest
    i = scan.best
    return [
        ("Largest excess", f"{scan.masses[i]:.4g} GeV, relative {width}"),
        ("Fitted signal", f"{scan.yields[i]:.1f} ± {scan.errors[i]:.1f} events"),
        ("Local Z", f"{scan.z[i]:.2f} (p = {scan.p0[i]:.2g})"),
    ]


def _judged(found: HuntResult) -> list[tuple[str, str]]:
    """The p-value of the whole search, a limit, and why not to quote the result."""
    rows = []
    search, refitted = found.calibration.search, found.refitted
    if search is not None:
        sign = "below " if search.is_bound else ""
        by = f"{search.experiments} pseudo-experiments of the whole analysis over {search.among}"
        rows.append(("Global p", f"{sign}{search.p:.2g}, by {by}"))
    elif refitted is not None:
        sign = "below " if refitted.is_bound else ""
        by = f"{refitted.toys} refitted toys over {refitted.hypotheses} trials"
        rows.append(("Global p", f"{sign}{refitted.p:.2g}, by {by}"))
    else:
        missing = _uncalibrated(found) if found.selections else "no toys were made"
        rows.append(("Global p", f"none: {missing}"))
    best = largest_excess(found)
    if best is not None and best.limit is not None:
        expected = f"{best.limit.expected_events[2]:.1f} expected"
        rows.append(("Limit", f"{best.limit.events:.1f} signal events in this selection at 95 % CLs, {expected}"))
    if found.reasons:
        rows.append(("Caveat", "not to be quoted: " + "; ".join(found.reasons)))
    return rows


def _blind(found: HuntResult) -> list[tuple[str, str]]:
    """Of a blind hunt: the first selection."""
    best = found.first_sensitivity
    rows = [("Observed", "blind")]
    if best is None:
        return rows
    worth = "corrected" if best.calibrated else "uncalibrated"
    rows = [
        ("Selection", f"{best.label}; all {len(found.sensitivity)} are in the section Sensitivity"),
        *rows,
        ("Expected", f"{best.b:.1f} ± {best.sigma_b:.1f}, by the {best.background.replace('_', ' ')}"),
        ("Expected Z", f"{best.expected_z:.2f} {worth}, of {best.signal:.1f} signal events in the window"),
    ]
    if best.limit is not None:
        rows.append(
            ("Expected limit", f"{best.limit[2]:.1f} ({best.limit[1]:.1f} to {best.limit[3]:.1f}) signal events")
        )
    return rows
