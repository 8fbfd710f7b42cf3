"""Histograms in open formats: JSON by the Unified Histogram Interface, or ROOT. No pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import hist
import uhi.io.json
import uproot

from jepa_coffea.errors import HistogramError
from jepa_coffea.files import replacing, write_text


def write_hists(path: str | Path, histograms: Mapping[str, hist.Hist]) -> Path:
    """Write named histograms.

    Parameters
    ----------
    path
        The ending chooses: ``.json`` keeps everything, ``.root`` one to three plain axes.
    histograms
        By name.

    Returns
    -------
    Path
        Where they are.

    Raises
    ------
    HistogramError
        For another ending.
    """
    target = Path(path)
    if target.suffix == ".json":
        write_text(target, json.dumps(dict(histograms), default=uhi.io.json.default) + "\n")
    elif target.suffix == ".root":
        with replacing(target) as temporary, uproot.recreate(temporary) as file:
            for name, histogram in histograms.items():
                file[name] = histogram
    else:
        msg = f"histograms are written as .json or .root, got {target.name}"
        raise HistogramError(msg)
    return target


def read_hists(path: str | Path) -> dict[str, hist.Hist]:
    """Read what :func:`write_hists` wrote.

    Parameters
    ----------
    path
        A ``.json`` or ``.root`` file.

    Returns
    -------
    dict of str to hist.Hist

    Raises
    ------
    HistogramError
        For another ending.
    """
    source = Path(path)
    if source.suffix == ".json":
        document = json.loads(source.read_text(), object_hook=uhi.io.json.object_hook)
        return {name: hist.Hist(entry) for name, entry in document.items()}
    if source.suffix == ".root":
        with uproot.open(source) as file:
            return {name: file[name].to_hist() for name in file.keys(cycle=False, filter_classname="TH*")}
    msg = f"histograms are read from .json or .root, got {source.name}"
    raise HistogramError(msg)
