"""Expected and observed significance of the demo's signal, after ``make demo``.

    python -m benchmarks.statistics.demo_signal --demo demo

The demo finds its signal in one data set, and one data set fluctuates. Here more W' events are simulated and embedded
with the demo's encoder, and put ten times, as many as the demo has, into pseudo-data of its background; the demo's own
hunt does the rest, and corrects Z by its own experiments without signal. Printed and written to
benchmarks/results/demo_signal.json.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.machine import ROOT, machine
from jepa_coffea.commands.command_line import Help
from jepa_coffea.files import find_files, write_text
from jepa_coffea.files.parquet import read_rows

NAME = "demo_signal"
EVENTS = 9000
"""W' events with m_jj above 2 TeV: half are put in, half train the classifier that knows the signal."""


def more_signal(demo: Path, events: int) -> str:
    """W' events that the demo has not, embedded as the demo embeds.

    Parameters
    ----------
    demo
        Folder of a demo that has ended.
    events
        How many to simulate.

    Returns
    -------
    str
        Glob of the embedded events.
    """
    folder = demo / NAME
    collisions = folder / "wprime.root"
    if not collisions.exists():
        run("simulate.py", "--process", "wprime", "--mjj-min", 2000, "--mpi", "off", "--events", events, "--seed", 5,
            "--workers", 1, "--output", collisions)  # fmt: skip
    if not (folder / "embedded").exists():
        run("embed_events.py", "--model", demo / "encoder.onnx", "--workers", 1, "--output", folder / "embedded",
            f"wprime={collisions}")  # fmt: skip
    return str(folder / "embedded/dataset=wprime/*.parquet")


def run(name: str, *words: object) -> None:
    """Run an example of the checkout.

    Parameters
    ----------
    name
        Of the script.
    *words
        Of its command line.
    """
    subprocess.run([sys.executable, str(ROOT / "examples" / name), *map(str, words)], check=True)


def injected(demo: Path) -> int:
    """How many signal events the demo's hunt has in its fit range.

    Parameters
    ----------
    demo
        Folder of the demo.

    Returns
    -------
    int
    """
    low, high = yaml.safe_load((demo / "hunt-signal.yaml").read_text())["mass"]["fit_range"]
    masses = [
        read_rows(Path(file))["mjj"].to_numpy()
        for file in find_files([f"{demo}/embedded/dataset=wprime/*.parquet"], "signal events")
    ]
    mass = np.concatenate(masses)
    return int(np.count_nonzero((mass >= low) & (mass < high)))


def expected(demo: Path, signal: str, amount: int, seeds: int) -> dict[str, Any]:
    """Calibrated Z of injections into the demo's background.

    Parameters
    ----------
    demo
        Folder of the demo.
    signal
        Glob of embedded signal events.
    amount
        Signal events in the fit range.
    seeds
        Injections.

    Returns
    -------
    dict
        Median and 16 to 84 % band of Z, and which estimate it is by.
    """
    document = yaml.safe_load((demo / "hunt-nothing.yaml").read_text())
    document["input"]["events"] = [str(demo / one) for one in document["input"]["events"]]
    folder = demo / NAME
    document |= {
        "output": str(folder / "hunt"),
        "injection": {"signal": [signal], "yields": [amount], "seeds": seeds},
    }
    path = folder / "hunt.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    # Status 1 is a finished hunt whose own checks say that its result must not be quoted.
    if (
        subprocess.run([str(Path(sys.executable).with_name("jepa-coffea")), "hunt", str(path)], check=False).returncode
        > 1
    ):
        raise SystemExit(2)
    found = json.loads((folder / "hunt" / "injection.json").read_text())
    row = next(row for row in found["summary"] if row["method"] == "cwola")
    return {
        "signal events": amount,
        "efficiency": found["efficiency"],
        "how": found["z"],
        "calibrated": row["calibrated"],
        "injections": row["experiments"],
        "z": [row["z_low"], row["z"], row["z_high"]],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Help)
    parser.add_argument(
        "--demo", type=Path, default=ROOT / "demo", metavar="DIR", help="folder of a demo that has ended"
    )
    parser.add_argument("--seeds", type=int, default=10, help="injections")
    options = parser.parse_args()
    demo = options.demo.resolve()
    results = {name: json.loads((demo / name / "results.json").read_text()) for name in ("hunt-nothing", "hunt-signal")}
    amount = injected(demo)
    what = {
        "expected": expected(demo, more_signal(demo, EVENTS), amount, options.seeds),
        "observed": {name: one["headline"] for name, one in results.items()},
        "selections": {name: one["selections"] for name, one in results.items()},
        "machine": machine("numpy", "scikit-learn", "iminuit", "distributed"),
    }
    low, middle, high = what["expected"]["z"]
    print(f"{amount} signal events in the fit range; expected Z {middle:.1f}, 16 to 84 %: {low:.1f} to {high:.1f}")
    print("\n".join(f"observed, {name}: {one['Local Z']}" for name, one in what["observed"].items()))
    path = ROOT / "benchmarks" / "results" / f"{NAME}.json"
    write_text(path, json.dumps(what, indent=1))
    print(f"written: {path}")


if __name__ == "__main__":
    main()
