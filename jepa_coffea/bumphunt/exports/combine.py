"""Inputs of the CMS Combine tool: a ROOT file of histograms and the datacard that names them."""

from __future__ import annotations

from pathlib import Path

import hist
import numpy as np
import uproot

from jepa_coffea.bumphunt.calibrated import UNCALIBRATED
from jepa_coffea.bumphunt.exports.workspace import largest_strength
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.window_model import FLOOR, WindowModel
from jepa_coffea.files import replacing, write_text

RANGE = 20.0
"""End of Combine's default range of the signal strength."""


def write_combine(folder: str | Path, model: WindowModel) -> tuple[Path, Path]:
    """Write ``<name>.root`` and ``<name>.txt``.

    The card has one ``shape`` systematic per nuisance of the background and of the signal's shape, and one ``lnN`` per
    uncertainty of the signal's yield. Combine takes shapes as Gaussian: with a Poisson constraint in the hunt, its
    significance is another one where the background is poorly known. The signal is scaled so that Combine's default
    range of its strength ``r``, 0 to 20, holds the limit; the first lines of the card say how many events ``r = 1`` is,
    and whether the significance is calibrated.
    ``autoMCStats`` is off: the templates are functions, not samples.

    Parameters
    ----------
    folder
        Where to write.
    model
        The window.

    Returns
    -------
    histograms
        Path of the ROOT file.
    card
        Path of the datacard.
    """
    target = Path(folder)
    histograms, card = target / f"{model.name}.root", target / f"{model.name}.txt"
    unit = _rounded_up(largest_strength(model) / RANGE)
    signal = unit * model.signal
    shifts = [f"{model.name}_{nuisance}" for nuisance in model.nuisances]
    with replacing(histograms) as temporary, uproot.recreate(temporary) as file:
        for process, values in (
            ("data_obs", model.observed),
            ("signal", signal),
            ("background", model.background),
        ):
            file[f"{model.name}/{process}"] = _histogram(values, model.edges)
        for shift, up, down in zip(shifts, model.up, model.down, strict=True):
            file[f"{model.name}/background_{shift}Up"] = _histogram(up, model.edges)
            file[f"{model.name}/background_{shift}Down"] = _histogram(down, model.edges)
        floor = FLOOR * float(signal.sum())
        for name, change in model.signal_shifts.items():
            for side, sign in (("Up", 1), ("Down", -1)):
                values = np.maximum(signal + sign * unit * change, floor)
                file[f"{model.name}/signal_{name}{side}"] = _histogram(values, model.edges)
    note = UNCALIBRATED if model.calibration is None else model.calibration.sentence
    kmax = len(shifts) + len(model.signal_rates) + len(model.signal_shifts)
    lines = [
        f"# {note}",
        f"# r = 1 is {signal.sum():.6g} signal events, so that the default range of r holds the limit:",
        f"# combine -M AsymptoticLimits {card.name}",
        "# The background's uncertainties are Gaussian; in a hunt's pyhf JSON they are as its statistics.constraint.",
        "imax 1  number of channels",
        "jmax 1  number of backgrounds",
        f"kmax {kmax}  number of nuisance parameters",
        "-" * 80,
        f"shapes * * {histograms.name} $CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC",
        "-" * 80,
        f"bin          {model.name}",
        f"observation  {model.observed.sum():.12g}",
        "-" * 80,
        f"bin          {model.name} {model.name}",
        "process      signal background",
        "process      0 1",
        f"rate         {signal.sum():.12g} {model.background.sum():.12g}",
        "-" * 80,
        *(f"{shift} shape - 1" for shift in shifts),
        *(f"{name} shape 1 -" for name in model.signal_shifts),
        *(f"{name} lnN {1 + relative:.6g} -" for name, relative in model.signal_rates.items()),
    ]
    write_text(card, "\n".join(lines) + "\n")
    return histograms, card


def _rounded_up(value: float) -> float:
    """The next number of one digit."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(np.ceil(value / power) * power)


def _histogram(values: Array, edges: Array) -> hist.Hist:
    histogram = hist.Hist(hist.axis.Variable(edges, name="mass", label="mass [GeV]"), storage=hist.storage.Weight())
    view = histogram.view()
    # Functions have no sampling error; ROOT must not invent one.
    view["value"], view["variance"] = values, 0.0
    return histogram
