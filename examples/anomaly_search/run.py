"""What an encoder adds to a search: calibrated significance against signal, for several sets of features.

::

    python examples/simulate.py --process qcd --mjj-min 2000 --pt-hat-min 600 --events 100000 --output qcd.root
    python examples/simulate.py --process wprime --mjj-min 2000 --events 12000 --output wprime.root
    python examples/embed_events.py --model tagger.onnx --output embedded qcd=qcd.root wprime=wprime.root zz=zz.root
    python examples/anomaly_search/run.py --background 'embedded/dataset=qcd/*.parquet'
        --signal wprime='embedded/dataset=wprime/*.parquet' --signal zz='embedded/dataset=zz/*.parquet' --output search

puts known numbers of signal events into background and searches for them by the whole chain of the hunt. The sets of
features are tuned alike: for each signal, the setting of a set's classifier is the one that does best on slices of the
*other* signals. Significances are read off against experiments without signal, made and treated in the same way.
Experiments are kept as they end; killed, the same command goes on. A tagger with many classes is best used in sums of
them: ``--group four_prong='X_YY_[bcsqg]{4}' --group three_prong='X_YY_[bcsqg]{3}'``.

In ``--output``: results.json, results.md, and a figure for each background estimate.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the checkout, of which the wheel has a part

from examples.anomaly_search.features import Columns, FeatureSet, SearchError, feature_sets, read_table, shuffled
from examples.anomaly_search.results import report, summary_of
from examples.anomaly_search.search import REFERENCES, Choice, Setting, Task, choices, experiment, key_of, merit
from jepa_coffea import __version__
from jepa_coffea.bumphunt.ledger import Ledger
from jepa_coffea.clusters import local
from jepa_coffea.commands.command_line import Parser
from jepa_coffea.cwola.classifiers import CLASSIFIERS
from jepa_coffea.cwola.folds import Folds
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.files import digest
from jepa_coffea.hunt.config import StatisticsConfig
from jepa_coffea.hunt.experiment import Method
from jepa_coffea.hunt.pseudo import make_pseudo_data
from jepa_coffea.hunt.selections import ESTIMATES
from training.loop.entry import explained


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    options = Parser(description=__doc__)
    options.add_argument("--background", nargs="+", required=True, metavar="GLOB", help="embedded background events")
    options.add_argument("--signal", action="append", required=True, metavar="NAME=GLOB", help="several times")
    options.add_argument(
        "--title",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="what pictures call a signal, for instance zz='graviton → ZZ'; several times",
    )
    options.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    options.add_argument("--mass", default="mjj", metavar="COLUMN", help="resonance mass, GeV")
    options.add_argument("--window", type=float, nargs=2, default=(2600.0, 3250.0), metavar="GEV", help="mass window")
    options.add_argument(
        "--sidebands", type=float, nargs=2, default=(2300.0, 3550.0), metavar="GEV", help="outer ends of the sidebands"
    )
    options.add_argument(
        "--fit-range", type=float, nargs=2, default=(2300.0, 4500.0), metavar="GEV", help="masses that are fitted"
    )
    options.add_argument("--bins", type=int, default=24, help="of the spectrum")
    options.add_argument("--function", default="dijet3", help="of the background")
    options.add_argument("--sqrt-s", type=float, default=13000.0, metavar="GEV", help="of the collisions")
    options.add_argument("--efficiency", type=float, default=0.01, help="of the sidebands")
    options.add_argument(
        "--yields", type=int, nargs="+", default=[50, 100, 200, 400], metavar="N", help="signal events"
    )
    options.add_argument("--slices", type=int, default=10, help="of disjoint signal events")
    options.add_argument("--tuned-slices", type=int, default=2, help="to choose the classifiers for other signals with")
    options.add_argument("--tuned-at", type=int, metavar="N", help="signal events there; a middle one of --yields")
    options.add_argument("--null", type=int, default=50, metavar="N", help="experiments without signal")
    options.add_argument("--members", type=int, default=8, help="classifiers that are averaged")
    options.add_argument(
        "--sets", nargs="+", metavar="SET", help="of features, supervised or idealised; all that there are if absent"
    )
    options.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME=REGEX",
        help="sum the scores of all classes whose whole name matches; several times, instead of every class by itself",
    )
    options.add_argument("--folds", type=int, nargs=2, default=(5, 4), metavar="N", help="outer and inner")
    options.add_argument("--workers", type=int, default=1, help="processes")
    options.add_argument("--seed", type=int, default=1, help="of folds, classifiers and pseudo-data")
    return options


def main(argv: list[str] | None = None) -> int:
    """Make the comparison that the command line describes.

    Parameters
    ----------
    argv
        Words of the command line; those of the process if None.

    Returns
    -------
    int
        0, 130 after Ctrl-C, or 2 for what the user has to mend.
    """
    return explained(lambda: _main(parser().parse_args(argv)))


def setting_of(args: argparse.Namespace) -> tuple[Setting, Columns]:
    """Read the events, and make what all experiments share.

    Parameters
    ----------
    args
        Options.

    Returns
    -------
    tuple
        The setting, and what columns the events have.

    Raises
    ------
    SearchError
        If a signal has no name or too few events, or its model is another.
    """
    windows = Windows.single(*args.window, sidebands=args.sidebands, fit_range=args.fit_range, bins=args.bins)
    groups = dict(named("--group", given, "four_prong='X_YY_[bcsqg]{4}'") for given in args.group)
    background, columns = read_table(args.background, windows, args.mass, "background events", groups)
    signals = {}
    for number, given in enumerate(args.signal):
        name, pattern = named("--signal", given, "wprime='embedded/dataset=wprime/*.parquet'")
        sample, own = read_table([pattern], windows, args.mass, f"signal {name}", groups)
        if own != columns:
            msg = f"signal {name}: has {own}, the background {columns}; embed them with one model"
            raise SearchError(msg)
        signals[name] = shuffled(sample, args.seed + number)
    sets, references = wanted(args.sets, columns)
    statistics = StatisticsConfig(sqrt_s=args.sqrt_s, function=args.function)
    folds = Folds(args.folds[0], args.folds[1], args.seed)
    recipe = Recipe(
        windows, {"gradient_boosting": CLASSIFIERS["gradient_boosting"]()}, folds, args.members, seed=args.seed
    )
    setting = Setting(
        pseudo=make_pseudo_data(background, windows, statistics, background),
        signals=signals,
        sets=sets,
        references=references,
        method=Method(recipe, (args.efficiency,), statistics),
        amounts=tuple(sorted(args.yields)),
        slices=args.slices,
        tuned_slices=args.tuned_slices,
        seed=args.seed,
    )
    return setting, columns


def named(option: str, given: str, example: str) -> tuple[str, str]:
    """A name and what it stands for.

    Parameters
    ----------
    option
        Of the command line.
    given
        ``NAME=VALUE``.
    example
        Of such a word.

    Returns
    -------
    tuple of str
        Name and value.

    Raises
    ------
    SearchError
        If there is no name.
    """
    name, equals, value = given.partition("=")
    if not equals or not name:
        msg = f"{option} {given}: expected a name and what it is of, as in {example}"
        raise SearchError(msg)
    return name, value


def wanted(names: Sequence[str] | None, columns: Columns) -> tuple[dict[str, FeatureSet], tuple[str, ...]]:
    """The sets of features and the references that are asked for.

    Parameters
    ----------
    names
        Of sets and references; None for all.
    columns
        Of the events.

    Returns
    -------
    tuple
        Sets by name, and names of references.

    Raises
    ------
    SearchError
        For a set that the events have not, and if there is none.
    """
    sets = feature_sets(columns)
    if names is None:
        return sets, REFERENCES
    known = [*sets, *REFERENCES]
    if unknown := [name for name in names if name not in known]:
        msg = f"--sets {unknown[0]!r}: these events have {', '.join(map(repr, known))}"
        raise SearchError(msg)
    chosen = {name: features for name, features in sets.items() if name in names}
    if not chosen:
        msg = f"--sets: {', '.join(names)} alone; the classifiers of references are those tuned for a set of features"
        raise SearchError(msg)
    return chosen, tuple(name for name in REFERENCES if name in names)


class Search:
    """The experiments of a comparison; those that were done before are read.

    Parameters
    ----------
    setting
        What the experiments have in common.
    ledger
        The experiments that were done.
    client
        Of Dask; None for this process alone.
    progress
        Whether to show a progress bar.
    """

    def __init__(self, setting: Setting, ledger: Ledger, client: Any, *, progress: bool) -> None:
        self.setting, self.ledger = setting, ledger
        self.client, self.progress = client, progress

    def done(self, tasks: Sequence[Task], what: str) -> list[dict[str, Any]]:
        """The records of some experiments, in their order.

        Parameters
        ----------
        tasks
            The experiments.
        what
            What they are for, said while they run.

        Returns
        -------
        list of dict
        """
        return self.ledger.run(
            experiment,
            tasks,
            (self.setting,),
            key=key_of,
            client=self.client,
            progress=self.progress,
            description=what,
        )

    def chosen(self, tuned_at: int) -> dict[str, dict[str, Choice]]:
        """For each signal, the classifier of each set: the one with the largest mean merit on the other signals.

        With a single signal there is no other; it is then tuned on slices of its own, which are in no experiment.

        Parameters
        ----------
        tuned_at
            Signal events.

        Returns
        -------
        dict
            Signal to set to choice. The references take that of the last set.
        """
        merits: dict[tuple[str, str, Choice], float] = {}
        for name, features in self.setting.sets.items():
            keys = [(signal, name, choice) for signal in self.setting.signals for choice in choices(features)]
            numbers = range(self.setting.tuned_slices)
            tasks: list[Task] = [
                ("tune", name, choice, signal, tuned_at, number) for signal, _, choice in keys for number in numbers
            ]
            records = self.done(tasks, f"tuning {name}")
            values = np.array([merit(record) for record in records]).reshape(len(keys), -1).mean(1)
            merits |= dict(zip(keys, map(float, values), strict=True))
        found: dict[str, dict[str, Choice]] = {}
        for signal in self.setting.signals:
            others = [other for other in self.setting.signals if other != signal] or [signal]
            found[signal] = {
                name: max(choices(features), key=lambda c, n=name: sum(merits[other, n, c] for other in others))  # type: ignore[misc]
                for name, features in self.setting.sets.items()
            }
            last = found[signal][list(self.setting.sets)[-1]]
            found[signal] |= dict.fromkeys(self.setting.references, last)
        return found

    def results(self, chosen: Mapping[str, Mapping[str, Choice]], null: int) -> dict[str, dict[str, Any]]:
        """Every signal and set of features.

        Parameters
        ----------
        chosen
            What :meth:`chosen` gives.
        null
            Experiments without signal.

        Returns
        -------
        dict
            Signal to set to what :func:`~examples.anomaly_search.results.summary_of` gives.
        """
        found: dict[str, dict[str, Any]] = {}
        for signal, of_sets in chosen.items():
            rows: dict[str, Any] = {}
            for name, choice in of_sets.items():
                without = self.without_signal(name, choice, signal, null)
                tasks: list[Task] = [
                    ("inject", name, choice, signal, amount, number)
                    for amount in self.setting.amounts
                    for number in range(self.setting.slices)
                ]
                records = self.done(tasks, f"{signal}, {name}")
                by_amount = {
                    amount: records[i * self.setting.slices : (i + 1) * self.setting.slices]
                    for i, amount in enumerate(self.setting.amounts)
                }
                if not rows:
                    rows["no classifier"] = summary_of(by_amount, without, ESTIMATES[:1], "inclusive")
                rows[name] = summary_of(by_amount, without, ESTIMATES)
            found[signal] = rows
        return found

    def without_signal(self, name: str, choice: Choice, signal: str, null: int) -> list[dict[str, Any]]:
        """Experiments without signal; those of a set serve all signals with the same choice.

        Parameters
        ----------
        name, choice
            Of the set of features.
        signal
            What the supervised classifier is trained on.
        null
            How many.

        Returns
        -------
        list of dict
        """
        which = signal if name == "supervised" else ""
        return self.done([("null", name, choice, which, 0, number) for number in range(null)], f"{name}, no signal")


def _main(args: argparse.Namespace) -> int:
    setting, columns = setting_of(args)
    tuned_at = args.tuned_at or setting.amounts[len(setting.amounts) // 2]
    titles = dict(named("--title", given, "zz='graviton → ZZ'") for given in args.title)
    if strange := sorted(set(titles) - set(setting.signals)):
        msg = f"--title {strange[0]}=...: there is no such signal; expected one of {', '.join(setting.signals)}"
        raise SearchError(msg)
    free = ("output", "workers", "null", "yields", "tuned_at", "sets", "title")
    settings = {name: value for name, value in vars(args).items() if name not in free}
    stamp = digest(
        "anomaly search",
        __version__,
        json.dumps(settings, default=str),
        max(args.yields),
        len(setting.pseudo.donors.mass),
    )
    ledger = Ledger(args.output / f"experiments-{stamp}.jsonl")
    with local(args.workers) if args.workers > 1 else nullcontext() as client:
        search = Search(setting, ledger, client, progress=True)
        chosen = search.chosen(tuned_at)
        results = search.results(chosen, args.null)
    said = {
        signal: {
            name: {"attribute_fraction": c.fraction, "components": c.components, **dict(c.trees)}
            for name, c in of.items()
        }
        for signal, of in chosen.items()
    }
    about = {
        "chosen": said,
        "settings": settings | {"null": args.null, "yields": args.yields, "tuned_at": tuned_at},
        "titles": titles,
        "columns": vars(columns),
    }
    Console().print(report(results, json.loads(json.dumps(about, default=str)), ESTIMATES, args.output), markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
