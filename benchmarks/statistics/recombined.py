"""Many independent QCD dijet events without signal from a few simulated ones, for calibrations of whole searches.

Searches that share simulated events share their fluctuations, and ten million events are two days of a core. Here the
mass of each event is drawn from a smooth fit to the simulated spectrum, pT over mass and directions are those of a
simulated event close in mass, and each of its jets is one of the simulated jets close in pT. The jets of a QCD dijet
depend on the mass through their pT only; at a given pT masses differ by a factor of two, so that a fluctuation of the
simulated jets is spread over masses far beyond a window. What is lost is what the two jets of an event have in common
beyond their pT, such as flavour.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jepa_coffea.bumphunt.fit import fit_background

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEAR_EVENTS, NEAR_JETS = 200, 500
"""How many places, in the order of mass or pT, an event or jet may be away from what it stands in for."""
BINS, FINE = 24, 50
"""Bins of the fitted spectrum, logarithmic, and parts of each in which masses are drawn uniformly."""
OF_EVENT = ("eta", "phi")
"""Columns of a jet that come from the event, as its pT over the mass does; all others come with the jet."""
SCALED = ("mass", "msoftdrop")
"""Columns of a jet in GeV, which keep their ratio to its pT."""


class Sorted:
    """Values in their order, to find those that are about as large as others.

    Parameters
    ----------
    values
        [N].
    places
        Largest distance, in this order, of what is found.
    """

    def __init__(self, values: Floats, places: int) -> None:
        self.order = np.argsort(values)
        self.values, self.places = values[self.order], places

    def near(self, wanted: Floats, rng: np.random.Generator) -> Ints:
        """For each wanted value one of those about as large, at random.

        Parameters
        ----------
        wanted
            [M].
        rng
            Random numbers.

        Returns
        -------
        ndarray
            int64 [M], indices of the values.
        """
        size = len(self.order)
        place = np.searchsorted(self.values, wanted) + rng.integers(-self.places, self.places + 1, len(wanted))
        # What would lie beyond an end is mirrored there: no value is taken more often than its neighbours.
        place = np.where(place < 0, -place - 1, place)
        place = np.where(place >= size, 2 * size - 1 - place, place)
        return self.order[np.clip(place, 0, size - 1)]


class Recombination:
    """New events made of the masses, directions and jets of simulated ones.

    Parameters
    ----------
    table
        Embedded events, with ``mjj`` and columns ``jet1_...`` and ``jet2_...``.
    fit_range
        Lowest and highest mass, GeV.
    """

    def __init__(self, table: pa.Table, fit_range: tuple[float, float]) -> None:
        masses = table["mjj"].to_numpy()
        table = table.filter(pa.array((masses >= fit_range[0]) & (masses < fit_range[1])))
        names = [name.removeprefix("jet1_") for name in table.column_names if name.startswith("jet1_")]
        columns = [f"{jet}_{name}" for jet in ("jet1", "jet2") for name in names if name in ("pt", *OF_EVENT)]
        self.events = table.select(["mjj", *columns]).combine_chunks()
        self.jets = pa.table(
            {
                name: pa.chunked_array([*table[f"jet1_{name}"].chunks, *table[f"jet2_{name}"].chunks])
                for name in names
                if name not in OF_EVENT
            }
        ).combine_chunks()
        self.by_mass = Sorted(self.events["mjj"].to_numpy(), NEAR_EVENTS)
        self.by_pt = Sorted(self.jets["pt"].to_numpy(), NEAR_JETS)
        edges = np.geomspace(*fit_range, BINS + 1)
        counts = np.histogram(self.events["mjj"].to_numpy(), edges)[0].astype(float)
        self.edges = np.geomspace(*fit_range, BINS * FINE + 1)
        self.expected = fit_background((counts, edges), "dijet3", toys=0).prediction(self.edges).yields

    def draw(self, events: int, seed: int) -> pa.Table:
        """New events.

        Parameters
        ----------
        events
            How many.
        seed
            Of the random numbers.

        Returns
        -------
        Table
            With the columns of the jets, ``mjj``, and an identity of its own for each event.
        """
        rng = np.random.default_rng(seed)
        place = rng.choice(len(self.expected), events, p=self.expected / self.expected.sum())
        mass = self.edges[place] + rng.random(events) * np.diff(self.edges)[place]
        like = self.by_mass.near(mass, rng)
        origin = self.events.take(like)
        columns: dict[str, Any] = {"run": np.ones(events, np.int64), "luminosityBlock": np.full(events, seed)}
        columns |= {"event": np.arange(events), "mjj": mass}
        for jet in ("jet1", "jet2"):
            pt = origin[f"{jet}_pt"].to_numpy() * mass / origin["mjj"].to_numpy()
            donor = self.jets.take(self.by_pt.near(pt, rng))
            ratio = pt / donor["pt"].to_numpy()
            of_donor = {
                name: donor[name].to_numpy() * ratio if name in SCALED else donor[name] for name in donor.column_names
            }
            of_event = {name: origin[f"{jet}_{name}"] for name in OF_EVENT if f"{jet}_{name}" in origin.column_names}
            columns |= {f"{jet}_{name}": column for name, column in (of_donor | of_event | {"pt": pt}).items()}
        return pa.table(columns)
