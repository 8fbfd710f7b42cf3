"""Calibrated significance against signal: bands, yields for 3 and 5 sigma, SIC; as JSON, table and figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jepa_coffea.bumphunt.records import plain
from jepa_coffea.files import write_text
from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.injection import GRID
from jepa_coffea.hunt.null import null_of
from training.loop.plots import MARKERS, look, say_simulation, write

LEVELS = (3.0, 5.0)
"""Sigma for which the signal that is needed is said."""

Records = Mapping[int, Sequence[Mapping[str, Any]]]
"""Signal events to the experiments of all slices."""


def calibrated(records: Records, null: Sequence[Mapping[str, Any]], kind: str, estimate: str) -> dict[int, list[float]]:
    """Significances read off against experiments without signal.

    Parameters
    ----------
    records
        Experiments with signal.
    null
        Experiments without.
    kind
        ``z``, or ``inclusive`` for those without a selection.
    estimate
        Of the background.

    Returns
    -------
    dict
        Signal events to corrected significances, one per slice; NaN where there is none.
    """
    try:
        distribution = null_of(np.array([_significance(record, kind, estimate) for record in null], float))
    except HuntError:
        return {amount: [float("nan")] * len(those) for amount, those in records.items()}
    return {
        amount: [float(distribution.corrected(_significance(record, kind, estimate))) for record in those]
        for amount, those in records.items()
    }


def _significance(record: Mapping[str, Any], kind: str, estimate: str) -> float:
    """Z as counted; without a selection there is only one estimate."""
    z = record[kind].get(estimate) if kind == "inclusive" else record[kind][estimate]
    return float("nan") if z is None else float(z)


def needed(significances: Mapping[int, Sequence[float]], level: float) -> list[float]:
    """Signal that reaches a significance, slice by slice: linear between the yields, from nothing without signal.

    Parameters
    ----------
    significances
        Signal events to significances, one per slice.
    level
        Sigma.

    Returns
    -------
    list of float
        Infinite where the largest yield does not reach it.
    """
    amounts = sorted(significances)
    found = []
    for one in zip(*(significances[amount] for amount in amounts), strict=True):
        z = np.maximum.accumulate(np.concatenate([[0.0], np.nan_to_num(one, nan=0.0)]))
        reached = int(np.searchsorted(z, level))
        if reached == len(z):
            found.append(float("inf"))
            continue
        x = [0, *amounts]
        share = (level - z[reached - 1]) / (z[reached] - z[reached - 1])
        found.append(float(x[reached - 1] + share * (x[reached] - x[reached - 1])))
    return found


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation (n - 1) and number of the finite ones of some values.

    Parameters
    ----------
    values
        One per slice.

    Returns
    -------
    dict
        ``mean`` and ``std`` (None where there are too few), ``n``, ``of``.
    """
    finite = np.array([value for value in values if np.isfinite(value)])
    return {
        "mean": float(finite.mean()) if len(finite) else None,
        "std": float(finite.std(ddof=1)) if len(finite) > 1 else None,
        "n": len(finite),
        "of": len(values),
    }


def summary_of(
    records: Records, null: Sequence[Mapping[str, Any]], estimates: Sequence[str], kind: str = "z"
) -> dict[str, Any]:
    """What one set of features reaches for one signal.

    Parameters
    ----------
    records
        Experiments with signal.
    null
        Experiments without.
    estimates
        Names of the background estimates.
    kind
        As for :func:`calibrated`.

    Returns
    -------
    dict
        By estimate the significance against yield and the yields for ``LEVELS``; ``sic`` at the largest yield.
    """
    found: dict[str, Any] = {}
    for estimate in estimates:
        z = calibrated(records, null, kind, estimate)
        found[estimate] = {
            "z": {str(amount): spread(values) | {"slices": values} for amount, values in z.items()},
            "needed": {f"{level:g}": spread(needed(z, level)) for level in LEVELS},
        }
    if kind == "z":
        curves = np.array([record["sic"] for record in records[max(records)]], float)
        found["sic"] = {"background_efficiency": GRID, "mean": _mean(curves), "std": _std(curves)}
    return found


def _mean(curves: Any) -> list[float]:
    """Means of columns; NaN, the floor of the SIC, stays where any slice has it."""
    return [float(value) for value in curves.mean(axis=0)]


def _std(curves: Any) -> list[float]:
    if len(curves) < 2:
        return [float("nan")] * curves.shape[1]
    return [float(value) for value in curves.std(axis=0, ddof=1)]


def table_of(results: Mapping[str, Mapping[str, Any]], estimate: str) -> str:
    """Signal events that are needed, one set of features per row, in Markdown.

    Parameters
    ----------
    results
        Signal to set of features to what :func:`summary_of` gives.
    estimate
        Of the background.

    Returns
    -------
    str
    """
    signals = list(results)
    heads = [f"{signal}, {level:g} sigma" for signal in signals for level in LEVELS]
    lines = [f"| signal events needed ({estimate}) | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name in dict.fromkeys(name for rows in results.values() for name in rows):
        cells = []
        for signal in signals:
            for level in LEVELS:
                one = results[signal].get(name, {}).get(estimate, {}).get("needed", {}).get(f"{level:g}")
                cells.append(_cell(one))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(one: Mapping[str, Any] | None) -> str:
    if not one or one["mean"] is None:
        return "not reached" if one else ""
    error = f" +- {one['std']:.0f}" if one["std"] is not None else ""
    part = "" if one["n"] == one["of"] else f" ({one['n']} of {one['of']} slices)"
    return f"{one['mean']:.0f}{error}{part}"


def draw(
    results: Mapping[str, Mapping[str, Any]],
    estimate: str,
    path: Path,
    *,
    sqrt_s: float,
    titles: Mapping[str, str] | None = None,
) -> None:
    """Significance against yield, and SIC at the largest; one signal per column, bands over slices.

    Parameters
    ----------
    results
        As for :func:`table_of`.
    estimate
        Of the background.
    path
        The picture.
    sqrt_s
        Energy of the collisions, GeV.
    titles
        What to call signals, by name; others are called by their names.
    """
    figure = Figure(figsize=(5.5 * len(results), 9), layout="constrained")
    axes = figure.subplots(2, len(results), squeeze=False)
    for column, (signal, rows) in enumerate(results.items()):
        title = (titles or {}).get(signal, signal)
        above, below = axes[0, column], axes[1, column]
        for number, (kind, row) in enumerate(rows.items()):
            name = kind.replace("both", "variables + embedding")
            z = row.get(estimate, {}).get("z", {})
            known = [(int(amount), v["mean"], v["std"] or 0.0) for amount, v in z.items() if v["mean"] is not None]
            if known:
                x, mean, std = (np.array(values) for values in zip(*known, strict=True))
                above.plot(x, mean, marker=MARKERS[number % len(MARKERS)], markersize=5, label=name, **look(number))
                above.fill_between(x, mean - std, mean + std, color=look(number)["color"], alpha=0.15, linewidth=0)
            if "sic" in row:
                sic = np.array(row["sic"]["mean"])
                below.plot(row["sic"]["background_efficiency"], sic, label=name, **look(number))
        for level in LEVELS:
            above.axhline(level, color="0.6", linewidth=0.8, linestyle="--")
        above.set(xlabel=f"events of {title} in the fit range", ylabel=f"calibrated Z ({estimate.replace('_', ' ')})")
        above.text(0.03, 0.97, title, transform=above.transAxes, va="top", fontweight="bold")
        above.set_ylim(top=above.get_ylim()[1] + 0.12 * float(np.ptp(above.get_ylim())))
        below.set(xscale="log", xlabel="background efficiency", ylabel="significance improvement; ends at 20 events")
    say_simulation(axes[0, 0])
    axes[0, -1].set_title(f"({sqrt_s / 1000:g} TeV)", loc="right")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    write(figure, path)


def report(
    results: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any], estimates: Sequence[str], output: Path
) -> str:
    """Write ``results.json``, ``results.md`` and a figure for each background estimate.

    Parameters
    ----------
    results
        As for :func:`table_of`.
    about
        What else is to be kept: ``settings`` with the energy ``sqrt_s``, the classifiers that were chosen, ``titles``
        of signals for the figures.
    estimates
        Names of the background estimates.
    output
        Folder.

    Returns
    -------
    str
        The tables.
    """
    write_text(output / "results.json", json.dumps(plain({"signals": results, **about}), indent=1) + "\n")
    text = "\n".join(table_of(results, estimate) for estimate in estimates)
    write_text(output / "results.md", text)
    for estimate in estimates:
        draw(
            results,
            estimate,
            output / f"significance_{estimate}.png",
            sqrt_s=about["settings"]["sqrt_s"],
            titles=about.get("titles"),
        )
    return text
