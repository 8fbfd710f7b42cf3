"""The result in five lines: what was counted, what was expected, and what the difference is worth."""

from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.hunt.verdict import largest_excess


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
    rows = _blind(found) if found.sensitivity else _counted(found)
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
    rows = [
        ("Largest excess", selection.label),
        ("Observed", str(selection.n)),
        ("Expected", f"{estimate.b:.1f} ± {estimate.sigma_b:.1f}, by the {how.replace('_', ' ')}"),
        ("Local Z", local),
    ]
    search, refitted = found.calibration.search, found.refitted
    if search is not None:
        sign = "<" if search.is_bound else "="
        by = f"{search.experiments} pseudo-experiments of the whole analysis"
        by += f" over {search.trials} windows and efficiencies"
        rows.append(("Global p", f"{sign} {search.p:.2g}, by {by}"))
    elif refitted is not None:
        sign = "<" if refitted.is_bound else "="
        rows.append(
            ("Global p", f"{sign} {refitted.p:.2g}, by {refitted.toys} refitted toys over {refitted.hypotheses} trials")
        )
    else:
        missing = "there are no pseudo-experiments" if found.selections else "no toys were made"
        rows.append(("Global p", f"none: {missing}"))
    if best.limit is not None:
        expected = f"{best.limit.expected_events[2]:.1f} expected"
        rows.append(("Limit", f"{best.limit.events:.1f} signal events in this selection at 95 % CLs, {expected}"))
    if found.reasons:
        rows.append(("Caveat", "not to be quoted: " + "; ".join(found.reasons)))
    return rows


def _blind(found: HuntResult) -> list[tuple[str, str]]:
    """Of a blind hunt: the most sensitive selection."""
    best = max((one for one in found.sensitivity if not one.problem), key=lambda one: one.expected_z, default=None)
    rows = [("Observed", "blind")]
    if best is None:
        return rows
    worth = "corrected" if best.calibrated else "uncalibrated"
    rows = [
        ("Most sensitive", best.label),
        *rows,
        ("Expected", f"{best.b:.1f} ± {best.sigma_b:.1f}, by the {best.background.replace('_', ' ')}"),
        ("Expected Z", f"{best.expected_z:.2f} {worth}, of {best.signal:.1f} signal events in the window"),
    ]
    if best.limit is not None:
        rows.append(
            ("Expected limit", f"{best.limit[2]:.1f} ({best.limit[1]:.1f} to {best.limit[3]:.1f}) signal events")
        )
    return rows
