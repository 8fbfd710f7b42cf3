"""Histograms that a document names, JSON or in a ROOT file: a spectrum to hunt in without events, a simulated peak."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import uproot

from jepa_coffea.bumphunt.signals import default_masses
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.files import unreadable
from jepa_coffea.hunt.config import HuntConfig, HuntError

Floats = npt.NDArray[np.float64]


def with_own_edges(config: HuntConfig) -> HuntConfig:
    """A hunt in a histogram, in the bins of the histogram unless its document says others.

    Parameters
    ----------
    config
        Of any hunt.

    Returns
    -------
    HuntConfig
        For a histogram, without windows unless its document names some, and with the histogram's edges inside the fit
        range unless it says ``mass.bins``. Any other as it was.

    Raises
    ------
    HuntError
        If there is no such file or histogram, or none of it is in the fit range.
    WindowError
        If a window or sideband does not begin and end at these edges.
    """
    source, mass = config.input.histogram, config.mass
    if source is None:
        return config
    if mass.windows is None:
        mass = mass.model_copy(update={"windows": []})
    if "bins" not in mass.model_fields_set:
        edges = _spectrum(source)[1]
        low, high = mass.fit_range or ((edges[0], edges[-1]) if not mass.windows else mass.build().fit_range)
        inside = [float(edge) for edge in edges if low * (1 - 1e-9) <= edge <= high * (1 + 1e-9)]
        if len(inside) < 2:
            msg = f"hunt: {source} is of {edges[0]:g} to {edges[-1]:g}, the fit range of {low:g} to {high:g}"
            raise HuntError(msg)
        mass = mass.model_copy(update={"bins": inside})
    mass.build()
    return config.model_copy(update={"mass": mass})


def with_signal(config: HuntConfig) -> HuntConfig:
    """A hunt with the simulated peak that its document names, in the document itself, checked before the work.

    Parameters
    ----------
    config
        Of any hunt, with the bins of its histogram.

    Returns
    -------
    HuntConfig
        Without the section ``signal``, or with a Gaussian, as it was. Unless the document names widths, it is that of
        the simulated peak.

    Raises
    ------
    HuntError
        If there is no such file or histogram.
    HistogramError
        If it is no peak, or a width does not fit into the mass axis.
    """
    signal = config.signal
    if signal is None:
        return config
    if signal.shape != "gaussian":
        shape = signal.shape
        if shape.histogram is not None:
            counts, _, edges = _read(shape.histogram)
            shape = shape.model_copy(update={"histogram": None, "counts": counts.tolist(), "edges": edges.tolist()})
        own = float(f"{shape.template().relative_width:.3g}")
        widths = signal.widths if "widths" in signal.model_fields_set else [own]
        signal = signal.model_copy(update={"shape": shape, "widths": widths})
    for width in signal.widths:
        default_masses(np.asarray(config.mass.build().edges), signal.peak(width))
    return config.model_copy(update={"signal": signal})


def read_histogram(source: Path, windows: Windows) -> Floats:
    """Read a spectrum in the bins of the windows.

    Parameters
    ----------
    source
        ``FILE.json`` or ``FILE.root:NAME``. The histogram may be finer and wider than the mass axis of the hunt, whose
        edges must be among its own.
    windows
        The mass axis.

    Returns
    -------
    array of float, (bins,)
        Events per bin.

    Raises
    ------
    HuntError
        If there is no such file or histogram, contents are weighted or negative, or edges do not increase or match.
    """
    counts, edges = _spectrum(source)
    wanted = np.asarray(windows.edges)
    nearest = np.abs(edges[:, None] - wanted).argmin(axis=0)
    if not np.allclose(edges[nearest], wanted, rtol=1e-9, atol=0):
        lost = wanted[~np.isclose(edges[nearest], wanted, rtol=1e-9, atol=0)]
        msg = (
            f"hunt: edges {lost[:5]} of the hunt are no edges of {source} ({edges[0]:g} to {edges[-1]:g}, "
            f"{len(counts)} bins); take its own edges as mass.bins, or a subset of them"
        )
        raise HuntError(msg)
    return np.diff(np.concatenate([[0.0], np.cumsum(counts)])[nearest])


def _spectrum(source: Path) -> tuple[Floats, Floats]:
    """Counts and edges, checked."""
    values, variances, edges = _read(source)
    counts = values if variances is None else event_counts(values, variances, str(source))
    if not counts.size or counts.ndim != 1 or edges.shape != (len(counts) + 1,) or not (np.diff(edges) > 0).all():
        msg = f"hunt: {source} has {counts.size} counts and edges {edges}; expected one more edge, strictly increasing"
        raise HuntError(msg)
    if (counts < 0).any() or not np.isfinite(counts).all() or (counts != np.round(counts)).any():
        msg = f"hunt: {source} has contents that are no event counts (negative, weighted or not finite)"
        raise HuntError(msg)
    return counts, edges


def _read(source: Path) -> tuple[Floats, Floats | None, Floats]:
    """Contents, their variances where the file has them, and edges."""
    name, _, inside = str(source).partition(".root:")
    path = Path(f"{name}.root") if inside else source
    if not path.is_file():
        msg = f"hunt: no histogram file {path}"
        raise HuntError(msg)
    if not inside:
        try:
            document = json.loads(path.read_text())
            return np.asarray(document["counts"], dtype=float), None, np.asarray(document["edges"], dtype=float)
        except (KeyError, TypeError, ValueError):
            msg = f"hunt: {path} is no JSON with 'counts' and 'edges'; for a ROOT file write FILE.root:NAME"
            raise HuntError(msg) from None
    try:
        with uproot.open(path) as file:
            held = file.keys(cycle=False)
            histogram = file.get(inside)
            values, edges = (None, None) if histogram is None else histogram.to_numpy()
            variances = None if histogram is None else np.asarray(histogram.variances(), dtype=float)
    except Exception as error:  # noqa: BLE001  whatever a damaged file makes the reader say is its problem
        msg = f"hunt: {path}: {inside!r} cannot be read as a histogram ({unreadable(path, error)})"
        raise HuntError(msg) from None
    if values is None or variances is None:
        msg = f"hunt: {path} holds no {inside!r}; it holds {', '.join(held) or 'nothing'}"
        raise HuntError(msg)
    return np.asarray(values, dtype=float), variances, np.asarray(edges, dtype=float)


def event_counts(values: npt.NDArray[Any], variances: npt.NDArray[Any], what: str) -> Floats:
    """Events per bin of a histogram in which every event has the same weight.

    A simulated sample that is scaled to a luminosity has as many events as before.

    Parameters
    ----------
    values, variances
        Sums of weights and of squared weights, (bins,).
    what
        The histogram, for messages.

    Returns
    -------
    array of float, (bins,)

    Raises
    ------
    HuntError
        If weights differ: neither the sums nor (sum w)^2 / sum w^2 are then Poisson counts.
    """
    filled = values > 0
    weight = float(variances[filled].sum() / values[filled].sum()) if filled.any() else 1.0
    if not np.allclose(variances, weight * values, rtol=1e-6) or weight <= 0:
        msg = (
            f"hunt: {what} is filled with different weights (variances and contents are not in proportion); no Poisson "
            "counts, no p-value. Fill it with events unweighted by hit or miss, or hunt in the events themselves with "
            "input.unweight"
        )
        raise HuntError(msg)
    return np.round(values / weight, 6)
