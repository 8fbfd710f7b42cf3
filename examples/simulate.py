"""Simulate proton collisions at 13 TeV: PFNano-schema events of one process, or JetClass-schema jets.

    python examples/simulate.py --process qcd --mjj-min 2000 --events 2000 --output qcd.root
    python examples/simulate.py --format jetclass --classes all --jets 10000 --output jets/
    python examples/simulate.py --format jetclass2 --families all --jets 10000 --output diverse/

``jetclass`` makes the ten classes of JetClass, one file per class; ``jetclass2`` makes the diverse pretraining sample,
resonances of 40 to 500 GeV with two to four prongs and QCD at pT from 200 to 2500 GeV, in classes of JetClass-II: X to
bb, cc, ss, light quarks, gluons and leptons, X to two Y to any pairs of these, to WW and ZZ, tops, QCD by its flavours;
it says at the end which classes there are, and how many jets of each.

Pythia 8 makes the particles, a parametric CMS-like detector measures them, fastjet makes AK8 jets. The same seed
gives the same sample, whatever the number of workers. Cite Pythia (arXiv:2203.11601) and fastjet (EPJC 72 (2012) 1896,
hep-ph/0512210) where you use the result.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, of which the wheel has a part
os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process per core is the parallelism

from rich.console import Console
from rich.table import Table

if importlib.util.find_spec("pythia8mc") is None:
    sys.exit("simulation needs Pythia 8, which is not installed: in the checkout, pip install '.[simulation]'")

from examples.simulation.events import EventsConfig, write_events
from examples.simulation.families import FAMILIES
from examples.simulation.jets import JetsConfig, class_counts, make_jets
from examples.simulation.pfnano import SEED_MAX
from examples.simulation.processes import EVENT_PROCESSES, JET_CLASSES
from jepa_coffea.commands.command_line import Parser
from jepa_coffea.errors import JepaCoffeaError, closest

COLUMNS = ("sample", "files", "from before", "accepted", "generated", "acceptance", "/s/core")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; what does not go together is an error here.

    Parameters
    ----------
    argv
        Words of the command line; those of the process by default.

    Returns
    -------
    Namespace
    """
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--format",
        choices=("pfnano", "jetclass", "jetclass2"),
        default="pfnano",
        help="events of PFNano, or jets of JetClass or JetClass-II",
    )
    parser.add_argument("--output", type=Path, required=True, help="file of events, or folder of jets")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same sample")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument(
        "--mpi", choices=("on", "off"), help="multi-parton interactions (default: on for events, off for jets)"
    )
    parser.add_argument("--plots", type=Path, help="folder for control plots")
    events = parser.add_argument_group("events (--format pfnano)")
    events.add_argument("--process", choices=list(EVENT_PROCESSES), help="what collides into what")
    events.add_argument("--events", type=int, help="events to write")
    events.add_argument("--pt-hat-min", type=float, help="smallest pT of the hard partons, GeV")
    events.add_argument("--mjj-min", type=float, help="keep events whose two leading jets have a larger mass, GeV")
    events.add_argument("--mjj-max", type=float, help="keep events whose two leading jets have a smaller mass, GeV")
    jets = parser.add_argument_group("jets (--format jetclass or jetclass2)")
    jets.add_argument("--classes", default="all", help=f"all, or some of {','.join(JET_CLASSES)}")
    jets.add_argument("--families", default="all", help=f"all, or some of {','.join(FAMILIES)}")
    jets.add_argument("--jets", type=int, help="jets of each class or family")
    jets.add_argument("--jets-per-file", type=int, default=10_000, help="jets in a file")
    options = parser.parse_args(argv)
    if options.format == "pfnano" and (options.process is None or options.events is None):
        parser.error("--format pfnano needs --process and --events")
    if options.format != "pfnano" and options.jets is None:
        parser.error(f"--format {options.format} needs --jets")
    if options.format == "jetclass2" and options.plots is not None:
        parser.error("--plots are of events and of the ten classes, not of --format jetclass2")
    for name in ("events", "jets", "workers", "jets_per_file"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, got {getattr(options, name)}")
    if not 0 <= options.seed < SEED_MAX:
        parser.error(f"--seed must be at least 0 and below {SEED_MAX}, got {options.seed}")
    if options.mjj_min is not None and options.mjj_max is not None and options.mjj_min >= options.mjj_max:
        parser.error(f"--mjj-min must be below --mjj-max, got {options.mjj_min:g} and {options.mjj_max:g}")
    for kind, known in (("classes", JET_CLASSES), ("families", FAMILIES)):
        given = getattr(options, kind)
        names = list(known) if given == "all" else given.split(",")
        if unknown := sorted(set(names) - set(known)):
            meant = closest(unknown[0], known)
            hint = f"did you mean {meant!r}? " if meant else ""
            parser.error(f"unknown {kind} {', '.join(unknown)}; {hint}there are {', '.join(known)}")
        setattr(options, kind, names)
    return options


def main(argv: list[str] | None = None) -> None:
    """Simulate what the command line asks for.

    Parameters
    ----------
    argv
        Words of the command line; those of the process by default.
    """
    options = arguments(argv)
    try:
        counts = simulate(options)
    except JepaCoffeaError as error:
        sys.exit(f"simulate.py: {error}")
    except BrokenProcessPool:
        sys.exit("simulate.py: a worker was killed, for lack of memory perhaps; fewer --workers need less")
    table = Table(*COLUMNS, title=str(options.output))
    for name, n in counts.items():
        row = (n["files"], n["kept"], n["accepted"], n["generated"])
        rate = n["accepted"] / max(n["seconds"], 0.01)
        table.add_row(name, *map(str, row), f"{n['accepted'] / n['generated']:.3f}", f"{rate:.0f}")
    console = Console()
    console.print(table)
    if options.format == "jetclass2":
        found = class_counts(options.output, options.families)
        console.print(f"{len(found)} classes:", ", ".join(f"{name} {number}" for name, number in found.items()))
    if options.plots is not None:
        from examples.simulation.plots import plot_events, plot_jets  # not needed, and slow to import, without plots

        if options.format == "pfnano":
            paths = plot_events(options.output, options.plots)
        else:
            paths = plot_jets(options.output, options.classes, options.plots)
        console.print("plots:", *map(str, paths))


def simulate(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Make the sample.

    Parameters
    ----------
    options
        As :func:`arguments` gives them.

    Returns
    -------
    dict of dict
        For each event process, class or family, how much was accepted of how much that was generated.
    """
    if options.format == "pfnano":
        config = EventsConfig(
            process=options.process,
            events=options.events,
            seed=options.seed,
            pt_hat_min=options.pt_hat_min,
            mjj_min=options.mjj_min,
            mjj_max=options.mjj_max,
            mpi=options.mpi != "off",
        )
        return {options.process: write_events(config, options.output, workers=options.workers)}
    jets = JetsConfig(seed=options.seed, jets_per_file=options.jets_per_file, mpi=options.mpi == "on")
    names = options.classes if options.format == "jetclass" else options.families
    return make_jets(options.output, names, options.jets, jets, workers=options.workers)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Stopped by Ctrl-C; finished files are kept, and the same command goes on from there.", file=sys.stderr)
        sys.exit(130)
