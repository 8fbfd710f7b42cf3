"""Flat tables of events in ROOT files: a TTree or an RNTuple with as many numbers in every entry."""

import json
import re
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import uproot

from jepa_coffea.cwola.windows import Windows
from jepa_coffea.files import unreadable
from jepa_coffea.hunt.columns import LEFT_OUT, column
from jepa_coffea.hunt.config import HuntError

STEP = "100 MB"
"""Read at a time; of a step only the events in the fit range are kept."""


def read_tree(file: str | Path, tree: str, mass: str, windows: Windows) -> tuple[pa.Table, npt.NDArray[np.float64]]:
    """The events in the fit range, and the masses of all.

    Branches that hold anything else than as many numbers in every entry are left out; the table says so.

    Parameters
    ----------
    file
        A ROOT file, or the URL of one.
    tree
        Name of the TTree or RNTuple in it.
    mass
        Name of the branch of the mass, GeV.
    windows
        With the fit range.

    Returns
    -------
    table : pyarrow.Table
    masses : array of float, (entries,)

    Raises
    ------
    HuntError
        If there is no such file, tree or branch, or the mass is no number.
    """
    try:
        with uproot.open(file) as content:
            names = content.keys(cycle=False)
            if tree not in names:
                there = ", ".join(names) or "nothing"
                msg = f"hunt: {file} has no tree {tree!r}; it has {there}. Say which one in input.tree"
                raise HuntError(msg)
            entries = content[tree]
            branches = [name for name in entries.keys(recursive=False) if "." not in name]
            if mass not in branches:
                msg = f"hunt: mass.column: {tree} of {file} has no branch {mass!r}; it has {', '.join(branches)}"
                raise HuntError(msg)
            parts, masses = [], [np.zeros(0)]
            for step in entries.iterate(branches, step_size=STEP, library="ak"):
                here = column(_flat(step[[mass]]), mass, file, "mass.column").astype(float)
                masses.append(here)
                parts.append(_flat(step[windows.inside(here)]))
            if not parts:
                parts.append(_flat(entries.arrays(branches, entry_stop=0, library="ak")))
    except HuntError:
        raise
    except Exception as error:  # noqa: BLE001  whatever a damaged file makes the reader say is its problem
        msg = f"hunt: {file} is no ROOT file, or damaged ({unreadable(file, error)})"
        raise HuntError(msg) from None
    return pa.concat_tables(parts), np.concatenate(masses)


def _flat(step: Any) -> pa.Table:
    """The columns with as many numbers in every entry, fixed-size lists where these are several."""
    columns, left_out = {}, {}
    for name in step.fields:
        form = step[name]
        kind = str(form.type.content)
        if not re.fullmatch(r"(\d+ \* )?(bool|u?int\d+|float\d+)", kind):
            left_out[name] = kind
            continue
        values = ak.to_numpy(form)
        columns[name] = pa.array(values.ravel())
        if values.ndim == 2:
            columns[name] = pa.FixedSizeListArray.from_arrays(columns[name], values.shape[1])
    return pa.table(columns, metadata={LEFT_OUT: json.dumps(left_out)})
