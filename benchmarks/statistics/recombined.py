"""Many independent QCD dijet events without signal from a few simulated ones, for calibrations of whole searches.

    python -m benchmarks.statistics.recombined 'embedded/dataset=qcd/*.parquet' --events 600000 --output many.parquet
    python -m benchmarks.statistics.simulated many.parquet --searches 300 --events 2000

Searches that share simulated events share their fluctuations, and two million events are ten hours of a core. Here the
mass of each event is drawn from a smooth fit to the simulated spectrum, pT over mass and directions are those of a
simulated event close in mass, and each of its jets is one of the simulated jets close in pT. The jets of a QCD dijet
depend on the mass through their pT only; at a given pT masses differ by a factor of two, so that a fluctuation of the
simulated jets is spread over masses far beyond a window. What is lost is what the two jets of an event have in common
beyond their pT, such as flavour.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jepa_coffea.bumphunt.fit import fit_background
from jepa_coffea.files import find_files
from jepa_coffea.files.parquet import read_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEAR_EVENTS, NEAR_JETS = 200, 500
"""How many places, in the order of mass or pT, an event or jet may be away from what it stands in for."""
BINS, FINE = 24, 50
"""Bins of the fitted spectrum, logarithmic, and parts of each in which masses are drawn uniformly."""
OF_EVENT = ("pt", "eta", "phi")
"""Columns of a jet that come from the event; all others come with the jet."""
SCALED = ("mass", "msoftdrop")
"""Columns of a jet in GeV, which keep their ratio to its pT."""


def smooth_masses(masses: Floats, events: int, fit_range: tuple[float, float], rng: np.random.Generator) -> Floats:
    """Masses drawn from a fit of three parameters.

    Parameters
    ----------
    masses
        [N], of simulated events in the range, GeV.
    events
        How many to draw.
    fit_range
        Lowest and highest mass, GeV.
    rng
        Random numbers.

    Returns
    -------
    ndarray
        f64 [events], GeV.
    """
    edges = np.geomspace(*fit_range, BINS + 1)
    fit = fit_background((np.histogram(masses, edges)[0].astype(float), edges), "dijet3", toys=0)
    fine = np.geomspace(*fit_range, BINS * FINE + 1)
    expected = fit.prediction(fine).yields
    place = rng.choice(len(expected), events, p=expected / expected.sum())
    return fine[place] + rng.random(events) * np.diff(fine)[place]


def near(values: Floats, wanted: Floats, places: int, rng: np.random.Generator) -> Ints:
    """For each wanted value one of those about as large, at random.

    Parameters
    ----------
    values
        [N], there are these.
    wanted
        [M].
    places
        Largest distance in the order of ``values``.
    rng
        Random numbers.

    Returns
    -------
    ndarray
        int64 [M], indices of ``values``.
    """
    order = np.argsort(values)
    place = np.searchsorted(values[order], wanted) + rng.integers(-places, places + 1, len(wanted))
    # What would lie beyond an end is mirrored there: no value is taken more often than its neighbours.
    place = np.where(place < 0, -place - 1, place)
    place = np.where(place >= len(values), 2 * len(values) - 1 - place, place)
    return order[np.clip(place, 0, len(values) - 1)]


def recombined(table: pa.Table, events: int, *, fit_range: tuple[float, float], seed: int) -> pa.Table:
    """New events made of the masses, directions and jets of simulated ones.

    Parameters
    ----------
    table
        Embedded events, with ``mjj`` and columns ``jet1_...`` and ``jet2_...``.
    events
        How many to make.
    fit_range
        Lowest and highest mass, GeV.
    seed
        Of the random numbers.

    Returns
    -------
    Table
        With the same columns of the jets, ``mjj`` and an identity of its own for each event.
    """
    rng = np.random.default_rng(seed)
    masses = table["mjj"].to_numpy()
    inside = np.flatnonzero((masses >= fit_range[0]) & (masses < fit_range[1]))
    table, masses = table.take(inside), masses[inside]
    new = smooth_masses(masses, events, fit_range, rng)
    like = near(masses, new, NEAR_EVENTS, rng)
    columns = {"run": np.ones(events, np.int64), "luminosityBlock": np.full(events, seed), "event": np.arange(events)}
    columns |= {"mjj": new}
    names = [name.removeprefix("jet1_") for name in table.column_names if name.startswith("jet1_")]
    jets = {name: pa.chunked_array([*table[f"jet1_{name}"].chunks, *table[f"jet2_{name}"].chunks]) for name in names}
    jet_pt = jets["pt"].to_numpy()
    arrays = {name: pa.array(column) for name, column in columns.items()}
    for jet in ("jet1", "jet2"):
        pt = table[f"{jet}_pt"].to_numpy()[like] * new / masses[like]
        donor = near(jet_pt, pt, NEAR_JETS, rng)
        for name in names:
            if name == "pt":
                arrays[f"{jet}_pt"] = pa.array(pt)
            elif name in OF_EVENT:
                arrays[f"{jet}_{name}"] = table[f"{jet}_{name}"].take(like).combine_chunks()
            else:
                values = jets[name].take(donor).combine_chunks()
                scale = pt / jet_pt[donor]
                arrays[f"{jet}_{name}"] = pa.array(values.to_numpy() * scale) if name in SCALED else values
    return pa.table(arrays)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="globs of embedded events without signal")
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--fit-range", type=float, nargs=2, default=(2300.0, 4500.0), metavar="GEV")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET", help="file to write")
    options = parser.parse_args()
    table = pa.concat_tables([read_rows(path) for path in find_files(options.files, "embedded background events")])
    made = recombined(table, options.events, fit_range=tuple(options.fit_range), seed=options.seed)
    pq.write_table(made, options.output)
    print(f"{options.output}: {made.num_rows} events of {table.num_rows}")


if __name__ == "__main__":
    main()
