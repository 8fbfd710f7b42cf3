"""Dijet events: the two leading jets of an event, their invariant mass, and the cuts of the search."""

from __future__ import annotations

from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from jepa_coffea.documents import Section

Floats = NDArray[np.float64]


class DijetSelection(Section):
    """Two leading jets with pT above 200 GeV in |eta| < 2.5 and m_jj above 2 TeV, unless said otherwise.

    Examples
    --------
    >>> from jepa_coffea.processing import DijetSelection
    >>> DijetSelection(mjj=1200, delta_eta=1.3)
    DijetSelection(pt=200.0, eta=2.5, mjj=1200.0, delta_eta=1.3)
    """

    pt: float = Field(default=200.0, ge=0)
    """Smallest transverse momentum of a jet, GeV."""
    eta: float = Field(default=2.5, gt=0)
    """Largest |eta| of a jet."""
    mjj: float = Field(default=2000.0, ge=0)
    """Smallest invariant mass of the two leading jets, GeV."""
    delta_eta: float | None = Field(default=None, gt=0)
    """Largest |eta1 - eta2|; s-channel resonances are more central than QCD (CMS cuts at 1.3). None: no cut."""


class Dijets(NamedTuple):
    """What passed."""

    events: NDArray[np.int64]
    """Positions of the selected events, ascending."""
    places: NDArray[np.int64]
    """Positions of their two leading jets among all jets of the event, [event, 2]."""
    jets: ak.Array
    """The two leading jets in pT of each, ``events * 2 * jet``."""
    mjj: Floats
    """Their invariant mass in GeV, one per event."""
    cutflow: dict[str, NDArray[np.bool_]]
    """Cut to what passed it and all before, one entry per event of the input."""


def select_dijets(jets: ak.Array, selection: DijetSelection) -> Dijets:
    """Apply a selection to ``events * jets`` with ``pt eta phi mass``.

    Parameters
    ----------
    jets
        ``events * jets`` with ``pt eta phi mass``, GeV.
    selection
        The cuts.

    Returns
    -------
    Dijets
    """
    good = (jets.pt > selection.pt) & (abs(jets.eta) < selection.eta)
    two = np.asarray(ak.to_numpy(ak.sum(good, axis=1) >= 2))
    place = ak.local_index(jets, axis=1)[good][two]
    place = place[ak.argsort(jets.pt[good][two], axis=1, ascending=False)][:, :2]
    pair = jets[two][place]
    mass = invariant_mass(pair)
    flow = {"all": np.ones(len(jets), dtype=bool), "two jets": two}
    cuts = {}
    if selection.delta_eta is not None:
        cuts["delta eta"] = np.asarray(ak.to_numpy(abs(pair.eta[:, 0] - pair.eta[:, 1]) < selection.delta_eta))
    cuts["mjj"] = mass > selection.mjj
    kept = np.ones(len(mass), dtype=bool)
    for name, passed in cuts.items():
        kept &= passed
        flow[name] = two.copy()
        flow[name][two] = kept
    places = np.asarray(ak.flatten(place), dtype=np.int64).reshape(-1, 2)
    return Dijets(np.flatnonzero(flow["mjj"]), places[kept], pair[kept], mass[kept], flow)


def invariant_mass(pair: ak.Array) -> Floats:
    """Invariant mass of two jets in GeV, one per event; float64, as sums of large energies cancel.

    Parameters
    ----------
    pair
        ``events * 2 * jet`` with ``pt eta phi mass``, GeV.

    Returns
    -------
    numpy.ndarray
        float64, [event], GeV.
    """
    pt, eta, phi, mass = (
        np.asarray(ak.to_numpy(ak.to_regular(pair[name])), dtype=np.float64).reshape(-1, 2)
        for name in ("pt", "eta", "phi", "mass")
    )
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy = np.sqrt(px**2 + py**2 + pz**2 + mass**2)
    squares: Any = energy.sum(axis=1) ** 2 - sum(p.sum(axis=1) ** 2 for p in (px, py, pz))
    return np.sqrt(np.maximum(squares, 0.0))
