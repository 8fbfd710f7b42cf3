"""Inputs of the CMS Combine tool: a ROOT file of histograms and the datacard that names them."""

from __future__ import annotations

from pathlib import Path

import hist
import uproot

from jepa_coffea.bumphunt.likelihood import Array
from jepa_coffea.bumphunt.window_model import WindowModel


def write_combine(folder: str | Path, model: WindowModel) -> tuple[Path, Path]:
    """Write ``<name>.root`` and ``<name>.txt``; returns both paths.

    The card has one ``shape`` systematic per eigenvector of the fit's covariance. Combine's signal strength ``r`` is
    the model's ``mu``. ``autoMCStats`` is off: the templates are functions, not samples.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    histograms, card = target / f"{model.name}.root", target / f"{model.name}.txt"
    shifts = [f"{model.name}_fit_{index}" for index in range(len(model.up))]
    with uproot.recreate(histograms) as file:
        for process, values in (
            ("data_obs", model.observed),
            ("signal", model.signal),
            ("background", model.background),
        ):
            file[f"{model.name}/{process}"] = _histogram(values, model.edges)
        for shift, up, down in zip(shifts, model.up, model.down, strict=True):
            file[f"{model.name}/background_{shift}Up"] = _histogram(up, model.edges)
            file[f"{model.name}/background_{shift}Down"] = _histogram(down, model.edges)
    lines = [
        "imax 1  number of channels",
        "jmax 1  number of backgrounds",
        f"kmax {len(shifts)}  number of nuisance parameters",
        "-" * 80,
        f"shapes * * {histograms.name} $CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC",
        "-" * 80,
        f"bin          {model.name}",
        f"observation  {model.observed.sum():.12g}",
        "-" * 80,
        f"bin          {model.name} {model.name}",
        "process      signal background",
        "process      0 1",
        f"rate         {model.signal.sum():.12g} {model.background.sum():.12g}",
        "-" * 80,
        *(f"{shift} shape - 1" for shift in shifts),
    ]
    card.write_text("\n".join(lines) + "\n")
    return histograms, card


def _histogram(values: Array, edges: Array) -> hist.Hist:
    histogram = hist.Hist(hist.axis.Variable(edges, name="mass", label="mass [GeV]"), storage=hist.storage.Weight())
    view = histogram.view()
    # Functions have no sampling error; ROOT must not invent one.
    view["value"], view["variance"] = values, 0.0
    return histogram
