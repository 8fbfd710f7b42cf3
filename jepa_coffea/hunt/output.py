"""What a hunt leaves in its folder besides scores, pseudo-experiments and the report."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import hist
import numpy as np
import yaml

from jepa_coffea.bumphunt.exports.combine import write_combine
from jepa_coffea.bumphunt.exports.hepdata import HEPDataColumn, HEPDataTable, write_hepdata
from jepa_coffea.bumphunt.exports.histograms import write_hists
from jepa_coffea.bumphunt.exports.workspace import write_workspace
from jepa_coffea.bumphunt.records import plain
from jepa_coffea.bumphunt.window_model import window_model
from jepa_coffea.hunt.experiment import Floats
from jepa_coffea.hunt.state import HuntResult, Run, Selection
from jepa_coffea.hunt.store import write_text
from jepa_coffea.report import versions


def write_provenance(run: Run) -> None:
    """The exact configuration and versions, before anything else is written."""
    document = run.config.model_dump(mode="json")
    write_text(run.output / "config.yaml", yaml.safe_dump(document, sort_keys=False))
    write_text(run.output / "versions.json", json.dumps(versions(), indent=1))


def write_result(run: Run, result: HuntResult) -> None:
    """results.json, spectra.json, summary.txt and the folder exports."""
    document = {
        "may_be_quoted": not result.reasons,
        "reasons_against": result.reasons,
        "models": result.events.models if result.events else [],
        "baseline": [record_of(selection) for selection in result.baseline],
        "selections": [record_of(selection) for selection in result.selections],
        "calibrated": [entry.record() for entry in result.calibrated],
        "global": result.search or result.refitted,
        "functions": result.functions,
        "gates": [gate.record() for gate in result.gates],
    }
    write_text(run.output / "results.json", json.dumps(plain(document), indent=1, allow_nan=False))
    everything = (*result.baseline, *result.selections)
    spectra = [
        {"window": s.counting.window, "efficiency": s.counting.efficiency, "counts": s.counts, "fit": s.fit}
        for s in everything
    ]
    edges = list(run.config.mass.build().edges)
    text = json.dumps(plain({"edges": edges, "spectra": spectra}), indent=1, allow_nan=False)
    write_text(run.output / "spectra.json", text)
    write_text(run.output / "summary.txt", result.paragraph + "\n")
    write_exports(run.output / "exports", everything, np.asarray(edges), run.config.statistics.constraint)


def record_of(selection: Selection) -> dict[str, Any]:
    """Counting, goodness of fit, second estimate and limit."""
    fit = selection.fit
    return selection.counting.record() | {
        "fit_p": None if fit is None else fit.p_value,
        "template": selection.template,
        "limit": selection.limit,
    }


def fresh_folder(folder: Path) -> Path:
    """The folder, empty: what an earlier run of another document left there would be taken for this one's."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def name_of(selection: Selection) -> str:
    """A name for files and channels: letters, digits and underscores."""
    efficiency = selection.counting.efficiency
    return f"{selection.counting.window}_" + ("all" if efficiency == 1 else f"eff_{efficiency:g}".replace(".", "p"))


def write_exports(
    folder: Path, selections: Sequence[Selection], edges: Floats, constraint: Literal["poisson", "gaussian"]
) -> None:
    """pyhf JSON, ROOT and datacard, HEPData YAML for every spectrum with a fit, and all spectra as histograms.

    The pyhf significance of ``NAME.json`` is the Z of that selection as counted, before calibration.
    """
    fresh_folder(folder)
    tables = []
    histograms = {}
    for selection in selections:
        name = name_of(selection)
        histogram = hist.Hist(hist.axis.Variable(edges, name="mass", label="mass [GeV]"), storage=hist.storage.Double())
        histogram[...] = selection.counts
        histograms[name] = histogram
        if selection.fit is None:
            continue
        model = window_model(selection.fit, name=name)
        write_workspace(folder / f"{name}.json", model, constraint)
        write_combine(folder, model)
        prediction = selection.fit.prediction(edges)
        tables.append(
            HEPDataTable(
                name,
                f"Observed events and fitted background, {selection.label}; the window is not part of the fit",
                [HEPDataColumn("mass", np.stack([edges[:-1], edges[1:]], axis=1), "GeV")],
                [
                    HEPDataColumn("observed", selection.counts),
                    HEPDataColumn("background", prediction.yields, errors={"fit": prediction.errors}),
                ],
            )
        )
    write_hists(folder / "histograms.json", histograms)
    write_hists(folder / "histograms.root", histograms)
    write_hepdata(folder / "hepdata", tables)
