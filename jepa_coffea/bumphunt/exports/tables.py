"""The tables of a search as HEPData takes them: spectra, significances and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_coffea.bumphunt.background import BackgroundFit
from jepa_coffea.bumphunt.calibrated import UNCALIBRATED, ZCalibration
from jepa_coffea.bumphunt.exports.hepdata import HEPDataColumn, HEPDataTable
from jepa_coffea.bumphunt.limits.limit import Limit, LimitCurve
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.pass_fail import TransferFactorFit
from jepa_coffea.bumphunt.scan import Scan
from jepa_coffea.bumphunt.significance import p_value


@dataclass(frozen=True)
class CountingResult:
    """One window and selection of a search, as a row of a table."""

    label: str
    """Window and selection in words."""
    n: float
    """Observed events."""
    b: float
    """Expected background."""
    sigma_b: float
    """Its uncertainty."""
    z: float
    """Significance as counted."""
    calibration: ZCalibration | None = None
    """None where it is not calibrated."""
    limit: Limit | None = None
    """On signal events in the window; None where there is none."""


AS_FITTED = "Backgrounds and their uncertainties in this table are as fitted, without the calibration."
"""What tables say that give them so."""


def spectrum_table(
    name: str, label: str, fit: BackgroundFit | TransferFactorFit, calibration: ZCalibration | None
) -> HEPDataTable:
    """Observed events and predicted background.

    Parameters
    ----------
    name
        Of the table.
    label
        The selection in words.
    fit
        With its window masked.
    calibration
        Of the significance in the window; the description says what it is, or that there is none.

    Returns
    -------
    HEPDataTable
    """
    prediction = fit.prediction(fit.edges)
    note = UNCALIBRATED if calibration is None else f"{calibration.measured} {AS_FITTED}"
    return HEPDataTable(
        name,
        f"Observed events and predicted background, {label}; the window is not part of the fit. {note}",
        [HEPDataColumn("mass", np.stack([fit.edges[:-1], fit.edges[1:]], axis=1), "GeV")],
        [
            HEPDataColumn("observed", fit.counts),
            HEPDataColumn("background", prediction.yields, errors={"fit": prediction.errors}),
        ],
    )


def significance_table(results: Sequence[CountingResult], name: str = "significances", note: str = "") -> HEPDataTable:
    """Counts, Z as counted, the corrected Z and p-value and the limit of every window and selection.

    Parameters
    ----------
    results
        In the order of the rows.
    name
        Of the table.
    note
        Of the whole search, such as its global p-value.

    Returns
    -------
    HEPDataTable
        Where there is no calibration or no limit its columns are empty.
    """
    missing = float("nan")
    calibrations = [result.calibration for result in results]
    corrected = np.array([missing if one is None else one.corrected_z for one in calibrations])
    described = " ".join(
        f"{result.label}: {UNCALIBRATED if result.calibration is None else result.calibration.measured}"
        for result in results
    )
    columns = [
        HEPDataColumn("observed events", [result.n for result in results]),
        HEPDataColumn(
            "expected background",
            [result.b for result in results],
            errors={"background": [result.sigma_b for result in results]},
        ),
        HEPDataColumn("local significance as counted", [result.z for result in results]),
        HEPDataColumn("mean of Z without signal", [missing if c is None else c.mean for c in calibrations]),
        HEPDataColumn("width of Z without signal", [missing if c is None else c.spread for c in calibrations]),
        HEPDataColumn("corrected local significance", corrected),
        HEPDataColumn("corrected local p-value", p_value(corrected)),
    ]
    if any(result.limit is not None for result in results):
        events = [missing if one.limit is None else one.limit.events for one in results]
        bands = np.array([np.full(5, missing) if one.limit is None else one.limit.expected_events for one in results])
        columns += [
            HEPDataColumn("observed limit on signal events in the window", events),
            HEPDataColumn("expected limit on signal events in the window", bands[:, 2], errors=_band(bands)),
        ]
    text = f"Counting experiments of the search, before and after calibration. {described} {AS_FITTED}"
    if any(result.limit is not None for result in results):
        text += " Limits: CLs at 95 % confidence level, after calibration where there is one."
    text = f"{text} {note}".strip()
    return HEPDataTable(name, text, [HEPDataColumn("selection", [result.label for result in results])], columns)


def scan_table(scan: Scan, name: str = "local p-values", note: str = UNCALIBRATED) -> HEPDataTable:
    """Local p-value and fitted signal against mass.

    Parameters
    ----------
    scan
        A mass scan.
    name
        Of the table.
    note
        A sentence on the calibration of these numbers.

    Returns
    -------
    HEPDataTable
    """
    errors = {"stat": scan.errors}
    faked = "The signal that the function may fake is not known and not counted."
    if scan.spurious is not None:
        errors["function"] = scan.spurious
        faked = "The signal that the function may fake is an error of its own and counted in p-value and significance."
    return HEPDataTable(
        name,
        f"Signal-plus-background fits ({scan.function}) at each mass. {faked} {note}",
        [HEPDataColumn("mass", scan.masses, "GeV")],
        [
            HEPDataColumn("local p-value", scan.p0),
            HEPDataColumn("local significance", scan.z),
            HEPDataColumn("fitted signal events", scan.yields, errors=errors),
        ],
    )


def limit_table(curve: LimitCurve, name: str = "limits", note: str = "") -> HEPDataTable:
    """Upper limits against mass or width, observed and expected with its band.

    Parameters
    ----------
    curve
        In fb where it has cross-sections, in events otherwise.
    name
        Of the table.
    note
        A sentence on signal, systematics and calibration.

    Returns
    -------
    HEPDataTable
    """
    observed, expected = (
        (curve.cross_section, curve.expected_cross_section) if curve.in_fb else (curve.events, curve.expected_events)
    )
    known = curve.known
    observed, expected = observed[known], expected[known]
    what, units = ("cross-section", "fb") if curve.in_fb else ("signal events", "")
    title, unit = ("mass", "GeV") if curve.axis == "mass" else ("relative width", "")
    methods = ", ".join(dict.fromkeys(method for method, one in zip(curve.methods, known, strict=True) if one))
    missing = ", ".join(f"{point:.4g}" for point in curve.points[~known])
    gaps = f"No limit was found at a {title} of {missing}{' ' * bool(unit)}{unit}. " if missing else ""
    return HEPDataTable(
        name,
        f"Upper limits at {curve.level:.0%} confidence level (CLs, {methods}) on the {what} against {title}, observed "
        f"and expected without a signal. {gaps}{note}".strip(),
        [HEPDataColumn(title, curve.points[known], unit)],
        [
            HEPDataColumn(f"observed limit on {what}", observed, units),
            HEPDataColumn(f"expected limit on {what}", expected[:, 2], units, errors=_band(expected)),
        ],
    )


def _band(expected: Array) -> dict[str, Array]:
    """Of expected limits [row, 5]: label to errors [row, 2] downwards and upwards."""
    middle = expected[:, 2]
    return {
        f"{share} %": np.stack([middle - expected[:, low], expected[:, high] - middle], axis=1)
        for share, low, high in ((68, 1, 3), (95, 0, 4))
    }
