"""Whole hunts in background whose features know the mass: a little, or as much as must be refused.

    python -m benchmarks.statistics.mass_dependence --events 24000 200000 1000000 --members 1

Features are Gaussian. ``realistic``: each rises by .03 of its width over half of the mass range, and bends by as much.
``leak``: one rises by .4 of its width over half of the range. ``island``: one is lower by .4 of its width in the window
alone, which must be refused: an excess of that kind is no signal. Everything else is the default of a hunt on a table
of columns. What the hunts say of themselves is printed and written to benchmarks/results/mass_dependence.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.machine import ROOT, machine
from benchmarks.statistics.toy_samples import WINDOWS, falling_spectrum
from jepa_coffea.commands.command_line import Help
from jepa_coffea.cwola.windows import WINDOW
from jepa_coffea.files import write_text

REALISTIC, LEAK = 0.03, 0.4
FEATURES = 4
KINDS = ("realistic", "leak", "island")

Floats = npt.NDArray[np.float64]


def features_of(kind: str, X: Floats, mass: Floats) -> Floats:
    """Features that know the mass.

    Parameters
    ----------
    kind
        Of ``KINDS``.
    X
        Standard normal, (events, features).
    mass
        GeV, (events,).

    Returns
    -------
    array of float, (events, features)
    """
    window, (low, high) = WINDOWS.windows[0], WINDOWS.fit_range
    far = np.log(mass**2 / (low * high)) / np.log(high / low)  # -1 to 1 over the range
    if kind == "realistic":
        return X + (REALISTIC * (far + far**2))[:, None]
    shift = far if kind == "leak" else -1.0 * (window.region(mass) == WINDOW)
    return X + LEAK * np.outer(shift, np.arange(X.shape[1]) == 0)


def hunted(kind: str, events: int, members: int, folder: Path, seed: int = 0) -> dict[str, Any]:
    """One hunt.

    Parameters
    ----------
    kind
        Of ``KINDS``.
    events
        In the fit range.
    members
        Classifiers that are averaged.
    folder
        To write to.
    seed
        Of the events.

    Returns
    -------
    dict
        Why the result may not be quoted, corrected Z by selection and estimate, and the gates that failed.
    """
    sample = falling_spectrum(events, FEATURES, seed)
    X = features_of(kind, sample.X.astype(float), sample.mass)
    number = np.arange(events)
    table = {"run": np.ones_like(number), "luminosityBlock": number // 1000, "event": number, "mass": sample.mass}
    pq.write_table(pa.table(table | {f"x{i}": column for i, column in enumerate(X.T)}), folder / "events.parquet")
    window, (low, high) = WINDOWS.windows[0], WINDOWS.fit_range
    document = {
        "input": {"events": ["events.parquet"]},
        "output": "hunt",
        "mass": {"column": "mass", "fit_range": [low, high], "bins": 28,
                 "windows": [{"window": [window.low, window.high], "sidebands": [low, high]}]},
        "features": {"use": ["columns"], "columns": [f"x{i}" for i in range(FEATURES)]},
        "classifier": {"members": members},
        "statistics": {"sqrt_s": 13000.0},
        "calibration": {"experiments": 25},
    }  # fmt: skip
    (folder / "hunt.yaml").write_text(yaml.safe_dump(document))
    command = [str(Path(sys.executable).with_name("jepa-coffea")), "hunt", str(folder / "hunt.yaml")]
    if subprocess.run(command, check=False).returncode > 1:
        raise SystemExit(2)
    found = json.loads((folder / "hunt" / "results.json").read_text())
    return {
        "events": events,
        "may be quoted": found["may_be_quoted"],
        "reasons": found["reasons_against"],
        "failed gates": [gate for gate in found["gates"] if not gate["passed"]],
        "corrected": {f"{one['efficiency']:g}": one["corrected"] for one in found["selections"]},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Help)
    parser.add_argument("--events", type=int, nargs="+", default=[24_000, 200_000, 1_000_000], help="of each hunt")
    parser.add_argument("--members", type=int, default=10, help="classifiers that are averaged")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="dependences on the mass")
    options = parser.parse_args()
    result: dict[str, list[dict[str, Any]]] = {kind: [] for kind in options.kinds}
    for events in options.events:
        for kind in options.kinds:
            with tempfile.TemporaryDirectory() as folder:
                result[kind].append(hunted(kind, events, options.members, Path(folder)))
            print(f"{kind}, {events} events: {'; '.join(result[kind][-1]['reasons']) or 'may be quoted'}")
    path = ROOT / "benchmarks" / "results" / "mass_dependence.json"
    about = {"members": options.members, "machine": machine("numpy", "scikit-learn", "iminuit")}
    write_text(path, json.dumps({**about, "result": result}, indent=1))
    print(f"written: {path}")


if __name__ == "__main__":
    main()
