"""The LHC Olympics R&D events (arXiv 2101.08320, Zenodo 2629073) as embedded events.

``python examples/anomaly_search/lhco.py events_anomalydetection_v2.h5 --model encoder.onnx --output lhco`` writes
``lhco/background-*.parquet`` and ``lhco/signal-*.parquet`` for ``run.py``. It holds, one event per row, pT, eta and
phi of up to 700 massless particles and whether it is signal (W' of 3.5 TeV -> X Y, each to two quarks). The particles
have no identity and no tracks: the encoder must have learned to do without them. Needs ``pip install tables``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the checkout, of which the wheel has a part

from examples.anomaly_search.features import SearchError
from examples.simulation.clustering import Jets, cluster
from examples.simulation.events import dijet_mass
from examples.simulation.observables import substructure
from jepa_coffea.commands.command_line import Parser
from jepa_coffea.constituents.record import FIELDS, KINEMATICS
from jepa_coffea.encoder import OnnxEncoder
from jepa_coffea.encoder.model_files import resolve
from jepa_coffea.encoder.outputs import softmax
from jepa_coffea.files import replacing
from training.loop.entry import explained

NODE = "/df/block0_values"
"""Where pandas keeps the values in the file."""
PARTICLES = 700
RUN = {False: 1, True: 2}
"""Number of the run of background and of signal."""

Floats = npt.NDArray[Any]


def rows_of(path: Path, chunk: int) -> Iterator[tuple[int, Floats]]:
    """Rows of the file, a chunk at a time.

    Parameters
    ----------
    path
        HDF5 file of pandas, 3 x 700 numbers and one label per row.
    chunk
        Rows at a time.

    Yields
    ------
    tuple
        Number of the first row, and the rows.

    Raises
    ------
    SearchError
        If the file is not one of the R&D data.
    """
    import tables  # type: ignore[import-untyped]  # here: nothing else of the project needs it

    with tables.open_file(str(path)) as file:
        if NODE not in file or file.get_node(NODE).shape[1] != 3 * PARTICLES + 1:
            msg = f"{path}: expected {NODE} with {3 * PARTICLES + 1} columns, as in the R&D data of the LHC Olympics"
            raise SearchError(msg)
        values = file.get_node(NODE)
        for start in range(0, len(values), chunk):
            yield start, values[start : start + chunk]


def candidates_of(rows: Floats) -> ak.Array:
    """Particles of events.

    Parameters
    ----------
    rows
        (events, 2101).

    Returns
    -------
    ak.Array
        ``events * var`` with pt, eta, phi, px, py, pz, energy.
    """
    pt, eta, phi = np.moveaxis(rows[:, :-1].reshape(len(rows), PARTICLES, 3), 2, 0).astype(float)
    real = pt > 0
    pt, eta, phi = pt[real], eta[real], phi[real]
    fields = {"pt": pt, "eta": eta, "phi": phi, "px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta)}
    return ak.unflatten(ak.zip(fields | {"energy": pt * np.cosh(eta)}), real.sum(1))


def table_of(rows: Floats, first: int, encoder: OnnxEncoder, mjj_min: float) -> pa.Table:
    """Embedded events of some rows: those with two jets and a mass of them above ``mjj_min``.

    Parameters
    ----------
    rows
        (events, 2101).
    first
        Number of the first row in the file, which makes event numbers.
    encoder
        For both jets.
    mjj_min
        GeV.

    Returns
    -------
    pa.Table
    """
    jets = cluster(candidates_of(rows))
    mass = dijet_mass(jets)
    kept = mass > mjj_min  # False where there are fewer than two jets
    position = np.arange(len(jets)) - np.repeat(np.cumsum(jets.counts) - jets.counts, jets.counts)
    jets = jets.select(kept[jets.event] & (position < 2))
    shapes = substructure(jets)
    outputs = encoder(*_inputs(jets, encoder.fields))
    signal = rows[kept, -1] > 0
    columns: dict[str, Any] = {
        "run": np.where(signal, RUN[True], RUN[False]),
        "luminosityBlock": np.ones(len(signal), np.int64),
        "event": first + np.flatnonzero(kept) + 1,
        "weight": np.ones(len(signal)),
        "mjj": mass[kept],
        "truth_signal": signal,
    }
    for number in (0, 1):
        jet = f"jet{number + 1}"
        columns |= {f"{jet}_{name}": getattr(jets, name)[number::2] for name in ("pt", "eta", "phi", "mass")}
        columns[f"{jet}_msoftdrop"] = shapes.soft_drop_mass[number::2]
        columns |= {f"{jet}_tau{n}": shapes.tau[number::2, n - 1] for n in range(1, 5)}
        embedding = outputs["embedding"][number::2]
        columns[f"{jet}_embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(embedding.ravel()), embedding.shape[1])
        if "logits" in outputs:
            scores = softmax(outputs["logits"][number::2])
            columns |= {f"{jet}_score_{name}": scores[:, k] for k, name in enumerate(encoder.card.class_names)}
    metadata = {b"jepa_coffea": json.dumps({"model_hash": encoder.digest}).encode()}
    return pa.table(columns).replace_schema_metadata(metadata)


def _inputs(jets: Jets, fields: tuple[str, ...]) -> tuple[Floats, Floats, Floats]:
    """Particles, counts and four-momenta of jets, as an encoder takes them."""
    flat = ak.flatten(jets.particles)
    zero = np.zeros(len(flat), np.float32)
    particles = np.stack(
        [ak.to_numpy(flat[name]).astype(np.float32) if name in KINEMATICS else zero for name in fields], 1
    )
    axes = [jets.pt * np.cos(jets.phi), jets.pt * np.sin(jets.phi), jets.pt * np.sinh(jets.eta), jets.energy]
    counts = ak.to_numpy(ak.num(jets.particles)).astype(np.int64)
    return particles, counts, np.stack(axes, 1).astype(np.float32)


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    options = Parser(description=__doc__)
    options.add_argument("file", type=Path, metavar="FILE.h5", help="of the LHC Olympics")
    options.add_argument("--model", required=True, metavar="ENCODER.onnx", help="file, or name of a shipped model")
    options.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    options.add_argument("--mjj", type=float, default=2000.0, help="smallest mass of the two leading jets, GeV")
    options.add_argument("--chunk", type=int, default=20_000, help="events per file")
    return options


def main(argv: list[str] | None = None) -> int:
    """Write the embedded events that the command line asks for; files that are there are left as they are.

    Parameters
    ----------
    argv
        Words of the command line; those of the process if None.

    Returns
    -------
    int
        0, or 2 for what the user has to mend.
    """
    return explained(lambda: _main(parser().parse_args(argv)))


def _main(args: argparse.Namespace) -> int:
    encoder = OnnxEncoder(resolve(args.model))
    unknown = [f for f in encoder.card.fields if f in FIELDS and f not in (*KINEMATICS, *encoder.card.optional_fields)]
    if unknown:
        msg = f"{args.model}: needs {', '.join(unknown)}, which these events do not have; take an encoder that was "
        msg += "trained to do without (objective.drop_identity, objective.drop_displacement)"
        raise SearchError(msg)
    args.output.mkdir(parents=True, exist_ok=True)
    for first, rows in track(rows_of(args.file, args.chunk), description=str(args.file)):
        paths = {
            kind: args.output / f"{name}-{first:09d}.parquet"
            for kind, name in ((False, "background"), (True, "signal"))
        }
        if all(path.is_file() for path in paths.values()):
            continue
        table = table_of(rows, first, encoder, args.mjj)
        for kind, path in paths.items():
            with replacing(path) as temporary:
                pq.write_table(table.filter(pa.array(table["truth_signal"].to_numpy() == kind)), temporary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
