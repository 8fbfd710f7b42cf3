"""What a run did, as tables: events by dataset, and time, rate and provider of every worker and of all together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from jepa_coffea.files import printable

STEPS = ("reading", "selection", "packing", "model", "scoring", "filling", "writing")
"""Where the time of a chunk goes, in the order in which it is spent."""


def merged(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Sum over workers of everything that a processor's ``metrics`` hold.

    Parameters
    ----------
    metrics
        Worker to its counts, providers and seconds.

    Returns
    -------
    dict
        The same entries, added up.
    """
    total: dict[str, Any] = {"provider": Counter(), "seconds": Counter()}
    for worker in metrics.values():
        for name, value in worker.items():
            if isinstance(value, Mapping):
                total[name].update(value)
            else:
                total[name] = total.get(name, 0) + value
    return total | {"provider": dict(total["provider"]), "seconds": dict(total["seconds"])}


def report(output: Mapping[str, Any]) -> list[Table]:
    """What a run did, to print.

    Parameters
    ----------
    output
        Of :func:`jepa_coffea.processing.run.run`.

    Returns
    -------
    list of rich.table.Table
        Events, cuts, workers, and where the time went.
    """
    return [_events(output), _cuts(output), _workers(output), _time(output)]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    return table


def _events(output: Mapping[str, Any]) -> Table:
    table = _table("Events", "dataset", "events", "chunks", "selected", "sum of weights")
    for dataset, totals in sorted(output["bookkeeping"].items()):
        table.add_row(
            escape(printable(dataset)),
            f"{totals['events']}",
            f"{totals['chunks']}",
            f"{totals['selected']}",
            f"{totals['sumw']:.6g}",
        )
    run = output["run"]
    lines = [f"{run['files']} files, {run['chunks']} chunks ({run['resumed']} resumed), {run['events']} events"]
    lines += [f"empty: {name}" for name in run["empty_files"]]
    if not run["events"]:
        lines.append("no events: nothing was embedded")
    none = [name for name, totals in output["bookkeeping"].items() if totals["events"] and not totals["selected"]]
    if none:
        advice = "no event was selected: look at pt, eta and mjj of the selection, in GeV, and at the collection"
        lines.append(f"{', '.join(sorted(none))}: {advice}")
    lines += [f"skipped: {name}: {problem}" for name, problem in run["skipped_files"].items()]
    lines += [f"skipped chunk: {name}: {problem}" for name, problem in run["skipped_chunks"].items()]
    for dataset, count in run["other_datasets"].items():
        lines.append(f"also in the output folder, of an earlier run: {dataset}, {count} files")
    for dataset, count in run["repeated_events"].items():
        lines.append(f"{dataset}: {count} selected events have the run, block and number of another one")
    table.caption = escape(printable("\n".join(lines)))
    return table


def _cuts(output: Mapping[str, Any]) -> Table:
    """What passed each cut and all before it, as events and as sums of weights."""
    table = _table("Cuts", "dataset", "cut", "events", "share", "sum of weights")
    for dataset, flow in sorted(output["cutflow"].items()):
        events = output["passed"][dataset]
        every = next(iter(events.values()), 0)
        for cut, weight in flow.items():
            share = f"{events[cut] / every:.1%}" if every else "-"
            table.add_row(escape(printable(dataset)), cut, f"{events[cut]}", share, f"{weight:.6g}")
    return table


def _workers(output: Mapping[str, Any]) -> Table:
    table = _table("Workers", "worker", "provider", "chunks", "jets", "jets/s", "loads", "padding")
    metrics = output["metrics"]
    rows = {**dict(sorted(metrics.items())), **({"all": merged(metrics)} if len(metrics) > 1 else {})}
    for name, worker in rows.items():
        slots = worker["particles"] + worker["padding"]
        wall = output["run"]["seconds"] if name == "all" else worker["seconds"]["total"]
        table.add_row(
            escape(printable(name)),
            "+".join(sorted(worker["provider"])) or "-",
            f"{worker['chunks']}",
            f"{worker['jets']}",
            f"{worker['jets'] / wall:.1f}" if wall else "-",
            f"{worker['loads']}",
            f"{worker['padding'] / slots:.1%}" if slots else "-",
        )
    total = merged(metrics)
    jets, empty, bad, cut = (total.get(name, 0) for name in ("jets", "empty", "non_finite", "truncated"))
    table.caption = (
        f"of {jets} jets, {empty} have no candidates and {bad} a value that is not finite: their embedding is NaN; "
        f"{cut} were cut to their hardest particles"
    )
    return table


def _time(output: Mapping[str, Any]) -> Table:
    seconds = merged(output["metrics"])["seconds"]
    table = _table("Time in chunks", "step", "seconds", "share")
    total = seconds.get("total", 0.0)
    known = {step: seconds.get(step, 0.0) for step in STEPS}
    for step, value in {**known, "other": total - sum(known.values()), "total": total}.items():
        table.add_row(step, f"{value:.2f}", f"{value / total:.1%}" if total else "-")
    table.caption = f"summed over workers; wall time {output['run']['seconds']:.1f} s"
    return table
