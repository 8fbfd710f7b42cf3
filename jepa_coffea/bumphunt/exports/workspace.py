"""pyhf workspaces: HistFactory JSON with one ``histosys`` per eigenvector of the fit's covariance."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyhf

from jepa_coffea.bumphunt.significance import z_value
from jepa_coffea.bumphunt.window_model import WindowModel
from jepa_coffea.errors import FitError, HistogramError

POI = "mu"


def workspace(model: WindowModel, constraint: Literal["gaussian", "poisson"] = "gaussian") -> dict[str, Any]:
    """The model as a HistFactory JSON document (schema 1.0.0), checked against pyhf's schema.

    constraint: ``"gaussian"`` writes one histosys per eigenvector. ``"poisson"``, for one bin only, writes one
    shapesys, whose significance is that of ``counting_significance`` with the constraint of that name.
    """
    if constraint == "poisson" and len(model.background) > 1:
        msg = f"a Poisson constraint describes one bin; {model.name} has {len(model.background)} correlated ones"
        raise HistogramError(msg)
    sigma = np.sqrt((((model.up - model.down) / 2) ** 2).sum(axis=0))
    shapesys = {"name": f"{model.name}_fit", "type": "shapesys", "data": sigma.tolist()}
    histosys = [
        {
            "name": f"{model.name}_fit_{index}",
            "type": "histosys",
            "data": {"hi_data": up.tolist(), "lo_data": down.tolist()},
        }
        for index, (up, down) in enumerate(zip(model.up, model.down, strict=True))
    ]
    samples = [
        {
            "name": "signal",
            "data": model.signal.tolist(),
            "modifiers": [{"name": POI, "type": "normfactor", "data": None}],
        },
        {
            "name": "background",
            "data": model.background.tolist(),
            "modifiers": histosys if constraint == "gaussian" else [shapesys],
        },
    ]
    parameter = {"name": POI, "bounds": [[0.0, _largest(model)]], "inits": [_largest(model) / 10]}
    document = {
        "channels": [{"name": model.name, "samples": samples}],
        "observations": [{"name": model.name, "data": model.observed.tolist()}],
        "measurements": [{"name": "bump", "config": {"poi": POI, "parameters": [parameter]}}],
        "version": "1.0.0",
    }
    pyhf.schema.validate(document, "workspace.json")
    return document


def _largest(model: WindowModel) -> float:
    """A signal strength far above anything the data allow: all events and ten times their fluctuation."""
    inside = model.signal > 0.01 * model.signal.max()
    events = max(float(model.observed[inside].sum()), float(model.background[inside].sum()), 1.0)
    return float(2 * (events + 10 * np.sqrt(events)) / model.signal.sum())


def write_workspace(
    path: str | Path, model: WindowModel, constraint: Literal["gaussian", "poisson"] = "gaussian"
) -> Path:
    """Write the workspace as JSON; ``pyhf cls`` and ``pyhf fit`` read it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(workspace(model, constraint), indent=1) + "\n")
    return target


@contextmanager
def numpy_backend() -> Iterator[None]:
    """pyhf with numpy and a tight SLSQP, whatever the caller uses; put back afterwards."""
    tensors, optimiser = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-10))
    try:
        with warnings.catch_warnings():
            # Trial steps of the minimiser into negative expectations, and jsonschema's own deprecations.
            warnings.simplefilter("ignore")
            yield
    finally:
        pyhf.set_backend(tensors, optimiser)


def pyhf_significance(document: dict[str, Any]) -> float:
    """Discovery significance (asymptotic q0) that pyhf finds in a workspace; 0 for a deficit.

    Raises FitError when pyhf's minimiser fails.
    """
    with numpy_backend():
        space = pyhf.Workspace(document)
        model = space.model()
        try:
            p0 = pyhf.infer.hypotest(0.0, space.data(model), model, test_stat="q0")
        except pyhf.exceptions.FailedMinimization as error:
            msg = f"pyhf could not fit the workspace {[c['name'] for c in document['channels']]}: {error}"
            raise FitError(msg) from error
    return float(z_value(float(p0)))
