"""Histograms in open formats: JSON by the Unified Histogram Interface, or ROOT. No pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import hist
import uhi.io.json
import uproot

from jepa_coffea.errors import HistogramError


def write_hists(path: str | Path, histograms: Mapping[str, hist.Hist]) -> Path:
    """Write named histograms; the ending chooses: ``.json`` keeps everything, ``.root`` one to three plain axes."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".json":
        target.write_text(json.dumps(dict(histograms), default=uhi.io.json.default) + "\n")
    elif target.suffix == ".root":
        with uproot.recreate(target) as file:
            for name, histogram in histograms.items():
                file[name] = histogram
    else:
        msg = f"histograms are written as .json or .root, got {target.name}"
        raise HistogramError(msg)
    return target


def read_hists(path: str | Path) -> dict[str, hist.Hist]:
    """Inverse of :func:`write_hists`."""
    source = Path(path)
    if source.suffix == ".json":
        document = json.loads(source.read_text(), object_hook=uhi.io.json.object_hook)
        return {name: hist.Hist(entry) for name, entry in document.items()}
    if source.suffix == ".root":
        with uproot.open(source) as file:
            return {name: file[name].to_hist() for name in file.keys(cycle=False, filter_classname="TH*")}
    msg = f"histograms are read from .json or .root, got {source.name}"
    raise HistogramError(msg)
