"""pyhf workspaces: HistFactory JSON with one ``histosys`` per nuisance of a window model."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyhf

from jepa_coffea.bumphunt.calibrated import UNCALIBRATED
from jepa_coffea.bumphunt.significance import Constraint
from jepa_coffea.bumphunt.window_model import FLOOR, WindowModel
from jepa_coffea.errors import FitError, HistogramError
from jepa_coffea.files import write_text

POI = "mu"


def workspace(model: WindowModel, constraint: Constraint = "gaussian") -> dict[str, Any]:
    """The model as a HistFactory JSON document (schema 1.0.0), checked against pyhf's schema.

    Parameters
    ----------
    model
        The window.
    constraint
        ``"gaussian"`` writes one histosys per nuisance. ``"poisson"``, for one bin only, writes one shapesys, whose
        significance is that of ``counting_significance`` with the constraint of that name.

    Returns
    -------
    dict
        The first measurement, ``bump``, is the one to use. The name of the second is a sentence on the calibration of
        the significance: the schema has no other place for it.

    Raises
    ------
    HistogramError
        For a Poisson constraint on several bins.
    """
    if constraint == "poisson" and len(model.background) > 1:
        msg = f"a Poisson constraint describes one bin; {model.name} has {len(model.background)} correlated ones"
        raise HistogramError(msg)
    background: list[dict[str, Any]] = [
        {
            "name": f"{model.name}_{nuisance}",
            "type": "histosys",
            "data": {"hi_data": up.tolist(), "lo_data": down.tolist()},
        }
        for nuisance, up, down in zip(model.nuisances, model.up, model.down, strict=True)
    ]
    if constraint == "poisson":
        background = [{"name": f"{model.name}_fit", "type": "shapesys", "data": model.sigma.tolist()}]
    signal: list[dict[str, Any]] = [{"name": POI, "type": "normfactor", "data": None}]
    for name, relative in model.signal_rates.items():
        signal.append({"name": name, "type": "normsys", "data": {"hi": 1 + relative, "lo": 1 / (1 + relative)}})
    for name, shift in model.signal_shifts.items():
        high, low = (np.maximum(model.signal + sign * shift, FLOOR * model.signal.sum()) for sign in (1, -1))
        signal.append({"name": name, "type": "histosys", "data": {"hi_data": high.tolist(), "lo_data": low.tolist()}})
    samples = [
        {"name": "signal", "data": model.signal.tolist(), "modifiers": signal},
        {"name": "background", "data": model.background.tolist(), "modifiers": background},
    ]
    largest = largest_strength(model)
    config = {"poi": POI, "parameters": [{"name": POI, "bounds": [[0.0, largest]], "inits": [largest / 10]}]}
    note = UNCALIBRATED if model.calibration is None else model.calibration.sentence
    document = {
        "channels": [{"name": model.name, "samples": samples}],
        "observations": [{"name": model.name, "data": model.observed.tolist()}],
        "measurements": [{"name": "bump", "config": config}, {"name": note, "config": config}],
        "version": "1.0.0",
    }
    with _quiet():
        pyhf.schema.validate(document, "workspace.json")
    return document


def largest_strength(model: WindowModel) -> float:
    """A signal strength above anything that the data allow, and not far above.

    Parameters
    ----------
    model
        The window.

    Returns
    -------
    float
        The excess and ten standard deviations of the bins that hold the signal; at least ten events.
    """
    inside = model.signal > 0.01 * model.signal.max()
    observed, background = float(model.observed[inside].sum()), float(model.background[inside].sum())
    sigma = float(np.sqrt(max(observed, background, 1.0) + (model.shifts[:, inside].sum(axis=1) ** 2).sum()))
    return float(max(max(observed - background, 0.0) + 10 * sigma, 10.0) / model.signal[inside].sum())


def write_workspace(path: str | Path, model: WindowModel, constraint: Constraint = "gaussian") -> Path:
    """Write the workspace as JSON; ``pyhf cls`` and ``pyhf fit`` read it.

    Parameters
    ----------
    path
        The file.
    model
        The window.
    constraint
        See :func:`workspace`.

    Returns
    -------
    Path
        Where it is.
    """
    write_text(Path(path), json.dumps(workspace(model, constraint), indent=1) + "\n")
    return Path(path)


def pyhf_significance(document: dict[str, Any]) -> float:
    """Discovery significance (asymptotic q0) that pyhf finds in a workspace, with Minuit as its minimiser.

    Parameters
    ----------
    document
        A workspace; its first measurement is used.

    Returns
    -------
    float
        0 for a deficit.

    Raises
    ------
    FitError
        When the minimiser fails.
    """
    with _pyhf_with_minuit():
        space = pyhf.Workspace(document)
        model = space.model(measurement_name=document["measurements"][0]["name"])
        data = space.data(model)
        try:
            best, least = pyhf.infer.mle.fit(data, model, return_fitted_val=True)
            none = pyhf.infer.mle.fixed_poi_fit(0.0, data, model, return_fitted_val=True)[1]
        except pyhf.exceptions.FailedMinimization as error:
            msg = f"pyhf could not fit the workspace {[c['name'] for c in document['channels']]}: {error}"
            raise FitError(msg) from error
    excess = max(float(none) - float(least), 0.0) if float(best[model.config.poi_index]) > 0 else 0.0
    return float(np.sqrt(excess))


@contextmanager
def _pyhf_with_minuit() -> Iterator[None]:
    """pyhf with numpy and Minuit, whatever the caller uses; put back afterwards."""
    tensors, optimiser = pyhf.get_backend()
    # SLSQP, pyhf's default, stops early where the likelihood is a large number: with millions of events.
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(strategy=1, tolerance=1e-4, maxiter=100000))
    try:
        with _quiet():
            yield
    finally:
        pyhf.set_backend(tensors, optimiser)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of trial steps into negative expectations, and of jsonschema about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
