"""The background function of a hunt, for the report: order by F-test, envelope, spurious signal."""

from typing import Any

import numpy as np

from jepa_coffea.bumphunt.ftest import THRESHOLD
from jepa_coffea.hunt.state import FunctionStudy
from jepa_coffea.report.html import ReportSection, ReportTable


def function_section(study: FunctionStudy | None) -> ReportSection:
    """The background function in the report.

    Parameters
    ----------
    study
        Of the inclusive spectrum.

    Returns
    -------
    ReportSection
        Order by F-test, envelope and spurious signal.
    """
    if study is None:
        return ReportSection("Background function")
    tables = []
    if study.choices:
        rows: list[list[Any]] = []
        for window, choice in study.choices.items():
            if isinstance(choice, str):
                rows.append([window, study.function, None, None, None, study.function, choice])
                continue
            rows += [
                [window, step.simpler, step.richer, step.f, step.p_value, choice.function, choice.stopped]
                for step in choice.steps
            ]
        columns = ["window masked", "function", "against", "F", "p by toys", "chosen", "why"]
        caption = (
            f"Parameters are added while p < {THRESHOLD:g}; {study.function} is used for all selections. Every "
            "pseudo-experiment makes this choice again."
        )
        tables.append(ReportTable("Order by F-test", columns, rows, caption))
    rows = []
    scanned = not study.uncertainties  # without windows
    for window, uncertainty in study.uncertainties.items():
        if isinstance(uncertainty, str):
            rows.append([window, study.function, None, None, None, uncertainty])
            continue
        for name, p, accepted, total, sigma in zip(
            uncertainty.functions,
            uncertainty.p_values,
            uncertainty.accepted,
            uncertainty.totals,
            uncertainty.sigmas,
            strict=True,
        ):
            shift = float(total - uncertainty.total)
            verdict = "accepted" if accepted else "does not describe the sidebands"
            rows.append([window, name, float(p), f"{total:.1f} ± {sigma:.1f}", f"{shift:+.1f}", verdict])
        rows.append(
            [window, "error of the choice", None, f"{uncertainty.error:.1f}", f"{uncertainty.relative:.2%}", ""]
        )
        rows += [[window, reason.split(":")[0], None, None, None, reason] for reason in uncertainty.failed]
    caption = (
        "What each function expects in the window, without a selection. The error of the choice is the largest of "
        "these shifts, or the largest bias of the used function when another one is the truth. Every background by the "
        "function has the same relative error, and so have Z, limits and verdict."
    )
    columns = ["window", "function", "fit p", "b", "shift", "verdict"]
    if rows:
        tables.append(ReportTable("Envelope of functions", columns, rows, caption))
    rows = []
    for window, spurious in study.spurious.items():
        if isinstance(spurious, str):
            rows.append([window, None, None, None, spurious])
            continue
        worst = int(np.abs(spurious.ratios).argmax())
        verdict = f"{'within' if spurious.passed else 'beyond'} {spurious.tolerance:g}"
        rows.append(
            [
                window,
                ", ".join(one.truth for one in spurious.studies),
                float(spurious.ratios[worst]),
                float(spurious.masses[worst]),
                verdict,
            ]
        )
    columns = [
        "peak" if scanned else "window masked",
        "truths",
        "largest spurious / error",
        "at mass [GeV]",
        "tolerance",
    ]
    caption = (
        f"Signal that {study.function} fits into the smooth curves of other functions where there is none, over "
        "its statistical error. It is counted even where it is within the tolerance, "
    )
    caption += (
        "in local Z of the data; in the toys the function is right."
        if scanned
        else "in windows by the error of the choice, in the picture of local p0 as an uncertainty of each peak. The "
        "peak is the first of the document (signal.widths)."
    )
    if rows:
        tables.append(ReportTable("Spurious signal", columns, rows, caption))
    text = "Of all events, without a selection." if tables else ""
    return ReportSection("Background function", text, tables=tables)
