"""The injection study in the report: significance, limits and SIC of each method."""

from typing import Any

import numpy as np

from jepa_coffea.hunt.injection import COUNTED, GRID, LABELS, METHODS, correction_of
from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.plots import Band, Header, plot_injection, plot_sic
from jepa_coffea.report.html import ReportFigure, ReportSection, ReportTable, with_error


def injection_section(result: HuntResult, header: Header) -> ReportSection:
    """Z and limits against injected signal, and the SIC of each method at the largest yield.

    Parameters
    ----------
    result
        What the hunt found.
    header
        Line above the pictures.

    Returns
    -------
    ReportSection
        Empty without injections.
    """
    if not result.injection.summary:
        return ReportSection("Injections")
    curves, limits, improvements = {}, {}, {}
    calibrated = {row["method"]: row["calibrated"] for row in result.injection.summary}
    corrected = any(calibrated.values())
    largest = max(row["yield"] for row in result.injection.summary)
    for method in METHODS:
        rows = sorted((r for r in result.injection.summary if r["method"] == method), key=lambda row: row["yield"])
        band = [np.array([row[name] for row in rows], dtype=float) for name in ("yield", "z", "z_low", "z_high")]
        exception = ", as counted" if corrected and not calibrated[method] else ""
        if np.isfinite(band[1]).any():
            curves[LABELS[method] + exception] = Band(*band)
        band = [
            np.array([row[name] for row in rows], dtype=float) for name in ("yield", "limit", "limit_low", "limit_high")
        ]
        if np.isfinite(band).all():
            limits[LABELS[method] + exception] = Band(*band)
        sic = next((r.get("sic") for r in rows if r["yield"] == largest), None)
        if sic is not None and any(value is not None for value in sic):
            usable = [(x, y) for x, y in zip(GRID, sic, strict=True) if y is not None]
            improvements[LABELS[method]] = Band(*np.array(usable).T)
    words = correction_of({LABELS[method]: null for method, null in result.injection.nulls.items()})
    caption = f"Signal put into background-only pseudo-data: median and 16-84 % band over seeds. {words}."
    answer: Any = {"ylabel": "Significance $Z$, calibrated"} if corrected else {}
    figures = []
    if curves:
        figures.append(ReportFigure("Injected signal", plot_injection(curves, header=header, **answer), caption))
    if limits:
        caption = (
            f"95 % CLs limits on the signal yield, {COUNTED}: median and 16-84 % band over seeds. {words}. The "
            "share of signal that is selected is measured at each yield. A limit below the dashed line excludes the "
            "yield that was injected. A method with an infinite limit is in the table only."
        )
        label = f"95 % CLs limit on signal events, {'calibrated' if corrected else 'uncalibrated'}"
        picture = plot_injection(limits, ylabel=label, reference="identity", identity="Injected", header=header)
        figures.append(ReportFigure("Limits on injected signal", picture, caption))
    if improvements:
        floor = min(float(np.min(band.x)) for band in improvements.values())
        caption = f"Medians at {largest} injected events, where every seed is above its floor of 20 background events."
        picture = plot_sic(improvements, floor=floor, header=header)
        figures.append(ReportFigure("Significance improvement of injections", picture, caption))
    columns = [
        "injected",
        "method",
        "Z",
        "Z and limits are",
        "limit on yield",
        "limit on selected",
        "selected",
        "failed",
    ]
    in_fb = any("limit_fb" in row for row in result.injection.summary)
    if in_fb:
        columns.insert(5, "limit in the fit range [fb]")
    table = [
        [
            row["yield"],
            LABELS[row["method"]],
            _in_band(row, "z"),
            "calibrated" if row["calibrated"] else "as counted",
            *(_in_band(row, name) for name in ("limit", *(["limit_fb"] if in_fb else []), "limit_selected")),
            row["signal"],
            row["failed"],
        ]
        for row in result.injection.summary
    ]
    caption = "Medians and 16-84 % bands over seeds; inf: a fit that failed, or no signal selected at any yield."
    tables = [ReportTable("Injected signal", columns, table, caption), *_without_signal(result)]
    return ReportSection("Injections", tables=tables, figures=figures)


def _without_signal(result: HuntResult) -> list[ReportTable]:
    """A table of what Z is without signal; none where no such experiments were asked for."""
    rows = [
        [LABELS[name], null, "-", "-", "-"]
        if isinstance(null, str)
        else [
            LABELS[name],
            len(null.toys) + null.failed,
            null.failed,
            with_error(null.mean, null.mean_error),
            with_error(null.width, null.width_error),
        ]
        for name, null in result.injection.nulls.items()
    ]
    if not rows:
        return []
    caption = (
        "Z as counted in experiments like the injections but without signal: by its mean and width Z of the injections "
        "is corrected. Classifiers that train on the data in folds make it wider than 1. A mean far from 0 is as "
        "uncertain as the reason for it."
    )
    return [ReportTable("Z without signal", ["method", "experiments", "failed", "mean", "width"], rows, caption)]


def _in_band(row: dict[str, Any], name: str) -> str:
    """Median and band of a row of the injection study."""
    stem = name.removesuffix("_fb")
    ends = (f"{stem}_{end}_fb" if name != stem else f"{stem}_{end}" for end in ("low", "high"))
    low, high = (row[end] for end in ends)
    return f"{row[name]:.3g} ({low:.3g} to {high:.3g})"
