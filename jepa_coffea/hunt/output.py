"""The files of a hunt: the document and versions, the scores of a finished training, the result and its exports."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hist
import numpy as np
import pyarrow as pa
import yaml

from jepa_coffea.bumphunt.exports.combine import write_combine
from jepa_coffea.bumphunt.exports.hepdata import write_hepdata
from jepa_coffea.bumphunt.exports.histograms import write_hists
from jepa_coffea.bumphunt.exports.tables import (
    CountingResult,
    limit_table,
    scan_table,
    significance_table,
    spectrum_table,
)
from jepa_coffea.bumphunt.exports.workspace import write_workspace
from jepa_coffea.bumphunt.records import plain
from jepa_coffea.cwola.efficiency import WindowScores
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.files import NUMERICAL, digest, replacing, versions, write_text
from jepa_coffea.files.folders import filesystem, finished_folder, fresh_folder
from jepa_coffea.files.parquet import read_rows, write_rows
from jepa_coffea.hunt.events import Events
from jepa_coffea.hunt.selections import FUNCTION, Floats, Selection
from jepa_coffea.hunt.state import HuntResult, Run
from jepa_coffea.hunt.verdict import headline


def write_provenance(run: Run) -> None:
    """Write the exact configuration and versions, before anything else.

    Parameters
    ----------
    run
        The hunt; ``config.yaml`` and ``versions.json`` go to its folder. The folder is called ``.`` in it, so that a
        copy of it stands for itself.
    """
    document = run.config.model_dump(mode="json") | {"output": "."}
    write_text(
        run.output / "config.yaml", yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=100)
    )
    write_text(run.output / "versions.json", json.dumps(versions(*NUMERICAL), indent=1))


def write_result(run: Run, result: HuntResult) -> None:
    """Write results.json, spectra.json and summary.txt.

    Parameters
    ----------
    run
        The hunt.
    result
        What it found.
    """
    document = {
        "may_be_quoted": not result.reasons and not run.config.blind,
        "blinding": result.blinding,
        "sensitivity": result.sensitivity,
        "reasons_against": result.reasons,
        "background": result.background,
        "headline": dict(headline(result)),
        "models": result.events.models if result.events else [],
        "inclusive": [finding.record() for finding in result.inclusive],
        "scan": result.scan.by_width if result.scan else None,
        "selections": [finding.record() for finding in result.selections],
        "global": result.calibration.search or result.refitted,
        "functions": result.functions,
        "mass_limits": result.mass_limits,
        "width_limits": result.width_limits,
        "gates": [gate.record() for gate in result.closure.gates],
    }
    write_text(run.output / "results.json", json.dumps(plain(document), indent=1, allow_nan=False))
    everything = [finding.selection for finding in result.everything]
    spectra = [
        {"window": s.window, "efficiency": s.efficiency, "counts": s.counts, "fit": s.function.fit} for s in everything
    ]
    if result.scan is not None:
        fit = result.scan.fit
        spectra.append({"window": result.scan.label, "efficiency": 1.0, "counts": fit.counts, "fit": fit})
    edges = list(run.config.mass.build().edges)
    text = json.dumps(plain({"edges": edges, "spectra": spectra}), indent=1, allow_nan=False)
    write_text(run.output / "spectra.json", text)
    write_text(run.output / "summary.txt", result.paragraph + "\n")


def write_exports(run: Run, result: HuntResult) -> None:
    """Write pyhf JSON, ROOT and datacard, HEPData YAML for every spectrum with a fit, and all spectra as histograms.

    Background and errors are those of the result's estimate, with the error of the choice of the function, and moved
    and widened by the calibration: the significance that others find is the corrected one in the Gaussian limit. Each
    file says so, or that there is no calibration.

    Parameters
    ----------
    run
        The hunt; its folder ``exports`` is emptied first.
    result
        What it found.
    """
    folder, config = run.output / "exports", run.config
    edges, constraint = np.asarray(config.mass.build().edges), config.statistics.constraint
    fresh_folder(folder, "exports")
    tables, results = [], []
    histograms = {}
    for finding in result.everything:
        selection = finding.selection
        name, fit, estimate = _name(selection), selection.function.fit, selection.by(result.background)
        histograms[name] = _histogram(edges, selection.counts)
        model = finding.model(result.background, name)
        if model is not None:
            write_workspace(folder / f"{name}.json", model, constraint)
            write_combine(folder, model)
        calibration = finding.z_calibration(result.background)
        if not estimate.problem:
            counted = (selection.label, selection.n, estimate.b, estimate.sigma_b, estimate.z)
            results.append(CountingResult(*counted, calibration, finding.limit))
        if fit is not None:
            tables.append(spectrum_table(name, selection.label, fit, finding.z_calibration(FUNCTION)))
    if result.scan is not None:
        fit, note = result.scan.fit, result.refitted.sentence if result.refitted else "Local: no trials are counted."
        histograms["all_events"] = _histogram(edges, fit.counts)
        tables.append(spectrum_table("all_events", f"fit of the {result.scan.label}", fit, None))
        tables += [scan_table(one, f"local p-values, {width}", note) for width, one in result.scan.by_width.items()]
    write_hists(folder / "histograms.json", histograms)
    write_hists(folder / "histograms.root", histograms)
    tables += [
        limit_table(curve, f"limits, {at}", f"All events, no selection; {config.kind_of_peak} signal, {at}.")
        for at, curve in {**result.mass_limits, **result.width_limits}.items()
        if not isinstance(curve, str)
    ]
    if results:
        search = result.calibration.search or result.refitted
        tables.append(significance_table(results, note=search.sentence if search else "No global p-value was found."))
    write_hepdata(folder / "hepdata", tables)
    finished_folder(folder)


def _histogram(edges: Floats, counts: Floats) -> hist.Hist[Any]:
    """Counts as other programs read them."""
    histogram = hist.Hist(hist.axis.Variable(edges, name="mass", label="mass [GeV]"), storage=hist.storage.Double())
    histogram[...] = counts
    return histogram


def _name(selection: Selection) -> str:
    """A name for files and channels: letters, digits and underscores."""
    efficiency = selection.efficiency
    if efficiency == 1:
        return f"{selection.window}_all"
    return f"{selection.window}_eff_{efficiency:g}".replace(".", "p").replace("-", "m")


def input_stamp(files: Sequence[str]) -> str:
    """A stamp of input files by name, size and time: whether a finished stage still belongs to its input.

    Parameters
    ----------
    files
        Their paths or URLs.

    Returns
    -------
    str
    """
    return digest([(str(file), _stamp(str(file))) for file in files])


def _stamp(file: str) -> Any:
    if "://" in file:
        files, path = filesystem(file)
        return files.ukey(path)
    found = Path(file).stat()
    return found.st_size, found.st_mtime_ns


def write_scores(path: Path, key: str, events: Events, scores: Sequence[WindowScores]) -> None:
    """Write out-of-fold scores as parquet: one row per event.

    Columns are run, luminosityBlock, event, mass, fold, and score and fraction of each window.

    Parameters
    ----------
    path
        The file.
    key
        Says what the scores were made from; kept in the file's metadata with the chosen classifiers.
    events
        The events.
    scores
        One for each window.
    """
    columns = dict(zip(("run", "luminosityBlock", "event"), events.identity.T, strict=True))
    columns |= {"mass": events.sample.mass, "fold": scores[0].fold}
    for of_window in scores:
        columns[f"score_{of_window.window.name}"] = of_window.score
        columns[f"fraction_{of_window.window.name}"] = of_window.fraction
    choice = [{"chosen": s.chosen, "argos": s.argos, "problem": s.problem} for s in scores]
    metadata = {b"jepa_coffea_hunt": json.dumps({"key": key, "models": events.models, "choice": choice}).encode()}
    table = pa.table({name: pa.array(values) for name, values in columns.items()}).replace_schema_metadata(metadata)
    with replacing(path) as temporary:
        write_rows(table, temporary)


def read_scores(path: Path, key: str, events: Events, windows: Windows) -> list[WindowScores] | None:
    """Read the scores of a finished training.

    Parameters
    ----------
    path
        The file.
    key
        As it was written.
    events
        The events.
    windows
        The windows.

    Returns
    -------
    list of WindowScores or None
        None if there are none, or they were made from something else.

    Raises
    ------
    BadFileError
        If the file is damaged.
    """
    if not path.is_file():
        return None
    table = read_rows(path, remedy="delete it to train again")
    stored = json.loads((table.schema.metadata or {}).get(b"jepa_coffea_hunt", b'{"key": ""}'))
    if stored["key"] != key:
        return None
    return [
        WindowScores(
            window,
            table[f"score_{window.name}"].to_numpy(),
            table[f"fraction_{window.name}"].to_numpy(),
            window.region(events.sample.mass),
            table["fold"].to_numpy().astype(np.int64),
            tuple(choice["chosen"]),
            tuple(choice["argos"]),
            choice["problem"],
        )
        for window, choice in zip(windows.windows, stored["choice"], strict=True)
    ]
