"""Embedded events in parquet as the processors write them, from the toy spectrum, and selections made by hand."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from jepa_coffea.hunt.selections import Estimate, Selection
from tests.cwola.toy import dijets


def write_events(path, events, *, signal=0, seed=1, size=4, model="abc", **columns):
    """``events`` background and ``signal`` signal events; ``columns`` replace columns, or drop them when None."""
    X, mass, ids, truth = dijets(events, features=2 * size, signal=signal, seed=seed)
    rng = np.random.default_rng(seed)
    n = len(mass)
    table = {
        "dataset": ["toy"] * n,
        "run": ids[:, 0],
        "luminosityBlock": ids[:, 1],
        "event": ids[:, 2],
        "weight": np.ones(n),
        "mjj": mass,
        "truth_signal": truth,
    }
    for j, jet in enumerate(("jet1", "jet2")):
        table[f"{jet}_pt"] = mass / 2 + rng.normal(0, 50, n)
        table[f"{jet}_mass"] = rng.uniform(50, 300, n) + 200 * truth
        table[f"{jet}_n_constituents"] = rng.poisson(50, n)
        table |= {f"{jet}_tau{k}": rng.uniform(0.1, 1, n) / k for k in range(1, 5)}
        part = X[:, j * size : (j + 1) * size].astype(np.float32)
        table[f"{jet}_embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), size)
    table |= columns
    arrays = pa.table({name: values for name, values in table.items() if values is not None})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        arrays.replace_schema_metadata({b"jepa_coffea": json.dumps({"model_hash": model, "sqrt_s": 13000}).encode()}),
        path,
    )
    return path


def selection(
    z, other_z=None, *, window="W1", efficiency=0.1, n=50, b=40.0, pull=0.0, function="", sideband_efficiency=""
):
    """A selection with significances ``z`` and ``other_z``; ``function``, ``sideband_efficiency``: their problems."""
    one = Estimate(problem=function) if function else Estimate(b, 2.0, z, float(stats.norm.sf(z)), 0.5)
    other = None
    if other_z is not None:
        expected = b + pull * float(np.hypot(2.0, 2.2))
        other = Estimate(expected, 2.2, other_z, float(stats.norm.sf(other_z)), 0.5)
    if sideband_efficiency:
        other = Estimate(problem=sideband_efficiency)
    return Selection(window, efficiency, n, np.zeros(3), one, other)
