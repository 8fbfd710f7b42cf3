"""A spectrum to hunt in without events: JSON, or a histogram in a ROOT file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import uproot

from jepa_coffea.cwola.windows import WindowError, Windows
from jepa_coffea.hunt.config import HuntConfig, HuntError, MassConfig

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
        With the edges inside the fit range, for a histogram and without ``mass.bins``; else as it was.

    Raises
    ------
    HuntError
        If there is no such file or histogram, or the document names no windows and the default ones do not fit it.
    WindowError
        If a window or sideband does not begin and end at these edges.
    """
    source, mass = config.input.histogram, config.mass
    if source is None or "bins" in mass.model_fields_set:
        return config
    low, high = mass.build().edges[0], mass.build().edges[-1]
    edges = _read(source)[1]
    inside = [float(edge) for edge in edges if low * (1 - 1e-9) <= edge <= high * (1 + 1e-9)]
    if "windows" not in mass.model_fields_set and not _fit(mass, inside):
        raise HuntError(_no_windows(source, edges))
    if len(inside) < 2:
        msg = f"hunt: {source} is of {edges[0]:g} to {edges[-1]:g}, windows and sidebands of {low:g} to {high:g}"
        raise HuntError(msg)
    own = config.model_copy(update={"mass": mass.model_copy(update={"bins": inside})})
    own.mass.build()
    return own


def _fit(mass: MassConfig, edges: list[float]) -> bool:
    """Whether the windows begin and end at these edges."""
    try:
        mass.model_copy(update={"bins": edges}).build()
    except WindowError:
        return False
    return True


def _no_windows(source: Path, edges: Floats) -> str:
    """What to write into a document without windows, as an example at the histogram's own edges."""
    low, high = (float(edges[round(share * (len(edges) - 1))]) for share in (0.4, 0.6))
    return (
        f"hunt: {source} is of {edges[0]:g} to {edges[-1]:g}, and the windows of CMS-EXO-22-026, which are taken where "
        f"mass.windows names none, do not begin and end at its edges. Name one or more at its edges, such as mass: "
        f"{{windows: [{{window: [{low:g}, {high:g}], sidebands: [{edges[0]:g}, {edges[-1]:g}]}}]}}; the scan for a "
        "peak at every mass is made in any case"
    )


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
    counts, edges = _read(source)
    if counts.ndim != 1 or edges.shape != (len(counts) + 1,) or not (np.diff(edges) > 0).all():
        msg = f"hunt: {source} has {counts.size} counts and edges {edges}; expected one more edge, strictly increasing"
        raise HuntError(msg)
    if (counts < 0).any() or not np.isfinite(counts).all() or (counts != np.round(counts)).any():
        msg = f"hunt: {source} has contents that are no event counts (negative, weighted or not finite)"
        raise HuntError(msg)
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


def _read(source: Path) -> tuple[Floats, Floats]:
    name, _, inside = str(source).partition(".root:")
    path = Path(f"{name}.root") if inside else source
    if not path.is_file():
        msg = f"hunt: no histogram file {path}"
        raise HuntError(msg)
    if not inside:
        try:
            document = json.loads(path.read_text())
            return np.asarray(document["counts"], dtype=float), np.asarray(document["edges"], dtype=float)
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
        msg = f"hunt: {path}: {inside!r} cannot be read as a histogram ({type(error).__name__}: {error})"
        raise HuntError(msg) from None
    if values is None or variances is None:
        msg = f"hunt: {path} holds no {inside!r}; it holds {', '.join(held) or 'nothing'}"
        raise HuntError(msg)
    return event_counts(values, variances, f"{inside} in {path}"), np.asarray(edges, dtype=float)


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
