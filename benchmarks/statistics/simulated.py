"""Calibration of whole searches in simulated QCD without signal, for both background estimates.

    python -m benchmarks.statistics.simulated 'embedded/dataset=qcd/*.parquet' --searches 300

Each search takes its own events from a pool of embedded events, trains, selects, counts, makes pseudo-data of these
events alone and is calibrated by its own pseudo-experiments, as ``jepa-coffea hunt`` does with data: embedding and
observables, boosted trees, everything else by default. ``--document hunt.yaml`` takes mass axis, features, classifier,
folds, efficiencies and statistics of another hunt, such as one with fewer members: the time goes with members times
pseudo-experiments.

Searches are kept one by one in the output folder, and the same command goes on with those that are missing; fewer are
judged by ``--searches`` with a smaller number. Of a pool of N events, N / n searches of n events are disjoint. With
more searches each takes n events at random without replacement: their fluctuations about the pool are smaller than
those of independent data by sqrt(1 - n / N), and what the pool itself has too much in the window, all of them have. The
result says n / N; below .1 it hardly matters. For more searches than the pool has events for, ``--recombine`` makes the
events of each anew from the jets of the pool, as :mod:`benchmarks.statistics.recombined` says; the events of no two
searches are then the same, though their jets are.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from distributed import Client, LocalCluster
from scipy import stats

from benchmarks.machine import ROOT, machine
from benchmarks.statistics.judgement import LEVELS
from benchmarks.statistics.recombined import Recombination
from jepa_coffea import __version__
from jepa_coffea.bumphunt.ledger import Ledger
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.files import digest, find_files, write_text
from jepa_coffea.files.parquet import read_rows
from jepa_coffea.hunt.calibration import calibrate, null_significances
from jepa_coffea.hunt.config import HuntConfig, StatisticsConfig
from jepa_coffea.hunt.events import read_events
from jepa_coffea.hunt.experiment import Method, run_experiment
from jepa_coffea.hunt.nominal import with_degrees
from jepa_coffea.hunt.null import Corrected
from jepa_coffea.hunt.pseudo import make_pseudo_data
from jepa_coffea.hunt.selections import ESTIMATES

DOCUMENT: dict[str, Any] = {
    "mass": {
        "windows": [{"window": [2600.0, 3250.0], "sidebands": [2300.0, 3550.0]}],
        "fit_range": [2300.0, 4500.0],
        "bins": 24,
    },
    "features": {"use": "both"},
    "statistics": {"sqrt_s": 13000.0},
}
"""The mass axis is that of the demo; all that is not said is the default of a hunt."""

FEWEST = 2
"""Searches with an estimate below which nothing is judged."""


@dataclass(frozen=True)
class FromPool:
    """Events of a pool for each search."""

    pool: Sample
    """All events."""
    events: int
    """How many a search has."""
    searches: int
    """How many there are."""
    seed: int
    """Of the choice."""

    @property
    def disjoint(self) -> bool:
        """Whether no two searches share an event.

        Returns
        -------
        bool
        """
        return self.searches * self.events <= len(self.pool.mass)

    def facts(self) -> dict[str, Any]:
        """What is to be said of the events.

        Returns
        -------
        dict
        """
        size = len(self.pool.mass)
        return {"pool": size, "share of the pool": self.events / size, "disjoint": self.disjoint}

    def key(self) -> list[Any]:
        """What decides which events the searches have.

        Returns
        -------
        list
        """
        return [sorted(self.pool.hashes.tolist())[:1000], len(self.pool.mass), self.disjoint]

    def data(self, number: int) -> Sample:
        """Events of one search.

        Parameters
        ----------
        number
            Of the search, from 0.

        Returns
        -------
        Sample
            A block that no other search shares where the pool has enough for all, or a random subset.
        """
        size = len(self.pool.mass)
        if self.disjoint:
            order = np.random.default_rng(self.seed).permutation(size)
            return self.pool.take(order[number * self.events : (number + 1) * self.events])
        return self.pool.take(np.random.default_rng([self.seed, number]).choice(size, self.events, replace=False))


@dataclass(frozen=True)
class Anew:
    """Events made of the jets of a pool for each search."""

    source: Recombination
    """Makes them."""
    config: HuntConfig
    """The hunt that reads them."""
    events: int
    """How many a search has."""

    def facts(self) -> dict[str, Any]:
        """What is to be said of the events.

        Returns
        -------
        dict
        """
        return {"pool": self.source.events.num_rows, "recombined": True}

    def key(self) -> list[Any]:
        """What decides which events the searches have.

        Returns
        -------
        list
        """
        return ["recombined", self.source.events.num_rows, float(self.source.by_mass.values.sum())]

    def data(self, number: int) -> Sample:
        """Events of one search, read from a file as a hunt reads them.

        Parameters
        ----------
        number
            Of the search, from 0.

        Returns
        -------
        Sample
        """
        with TemporaryDirectory() as folder:
            path = Path(folder) / "events.parquet"
            pq.write_table(self.source.draw(self.events, seed=1_000_000 * self.config.seed + number), path)
            return read_events([str(path)], self.config).sample


def search(number: int, source: FromPool | Anew, method: Method, toys: int, seed: int) -> dict[str, Any]:
    """One search, calibrated by its own pseudo-experiments.

    Parameters
    ----------
    number
        Of the search, from 0.
    source
        Of its events.
    method
        What is done to the data.
    toys
        Pseudo-experiments.
    seed
        Of the hunt.

    Returns
    -------
    dict
        By estimate a list over the selections of Z as counted, corrected Z and mean of the null, NaN where there is
        none; and ``degree`` of each transfer factor.
    """
    sample, own = source.data(number), seed + 1 + number
    data = run_experiment(sample, method.seeded(own)).selections
    pseudo = make_pseudo_data(sample, method.recipe.windows, method.statistics)
    selections, null = with_degrees(data, null_significances(pseudo, method, toys, seed=own))
    found: dict[str, Any] = {"degree": [one.degree for one in selections]}
    for name in ESTIMATES:
        found[name] = []
        for selection, corrected in zip(selections, calibrate(selections, null), strict=True):
            one, nothing = corrected[name], float("nan")
            good = isinstance(one, Corrected)
            numbers = [one.z, one.null.mean] if isinstance(one, Corrected) else [nothing, nothing]
            found[name].append([selection.estimates[name].z if good else nothing, *numbers])
    return found


def judged(found: Sequence[dict[str, Any]], efficiencies: Sequence[float]) -> dict[str, Any]:
    """Whether corrected Z are standard normal.

    Parameters
    ----------
    found
        From :func:`search`, for a single window.
    efficiencies
        Of the selections.

    Returns
    -------
    dict
        By estimate and efficiency: mean and width of corrected Z and of Z as counted, shares of small p-values, each
        with its error, the mean of the nulls and the share of parabolas.
    """
    result: dict[str, Any] = {}
    for name in ESTIMATES:
        result[name] = {}
        for place, efficiency in enumerate(efficiencies):
            rows = np.array([one[name][place] for one in found], dtype=float)
            raw, z, means = rows[np.isfinite(rows).all(axis=1)].T
            n = len(z)
            numbers: dict[str, Any] = {"searches": n, "failed": len(rows) - n}
            result[name][f"{efficiency:g}"] = numbers
            if n < FEWEST:
                continue
            for what, values in (("corrected", z), ("as counted", raw)):
                numbers[what] = {
                    "mean": float(values.mean()),
                    "mean_error": float(values.std(ddof=1) / np.sqrt(n)),
                    "std": float(values.std(ddof=1)),
                    "std_error": float(values.std(ddof=1) / np.sqrt(2 * (n - 1))),
                }
            for what, level in LEVELS.items():
                share, error = float(np.mean(stats.norm.sf(z) < level)), float(np.sqrt(level * (1 - level) / n))
                numbers[what] = {"share": share, "error": error}
            numbers["mean of the nulls"] = float(means.mean())
            numbers["parabolas"] = float(np.mean([one["degree"][place] == 2 for one in found]))
    return result


def shown(result: dict[str, Any]) -> str:
    """The judgement as lines of text.

    Parameters
    ----------
    result
        From :func:`judged`.

    Returns
    -------
    str
    """
    lines = []
    for name, of_name in result.items():
        for efficiency, one in of_name.items():
            if "corrected" not in one:
                lines.append(
                    f"{name:20} {efficiency:>5}  {one['failed']} searches have no estimate; give more --events"
                )
                continue
            z, null = one["corrected"], one["mean of the nulls"]
            shares = [f"P({what}) = {one[what]['share']:.3f} ± {one[what]['error']:.3f}" for what in LEVELS]
            lines.append(
                f"{name:20} {efficiency:>5}  corrected mean {z['mean']:+.2f} ± {z['mean_error']:.2f}  "
                f"std {z['std']:.2f} ± {z['std_error']:.2f}  {'  '.join(shares)}  "
                f"null mean {null:+.2f}  parabolas {one['parabolas']:.0%}  ({one['searches']} searches)"
            )
    return "\n".join(lines)


def method_of(config: HuntConfig) -> Method:
    """What the hunt of a document does to its events.

    Parameters
    ----------
    config
        The document; its function must be named.

    Returns
    -------
    Method
    """
    statistics: StatisticsConfig = config.statistics.model_copy(update={"goodness_toys": 0})
    return Method(config.recipe(), tuple(config.efficiencies), statistics)


def searches(
    source: FromPool | Anew, config: HuntConfig, *, number: int, toys: int, folder: Path, client: Client | None
) -> dict[str, Any]:
    """All searches; those that were done are kept.

    Parameters
    ----------
    source
        Of the events of each.
    config
        The hunt.
    number, toys
        How many searches; pseudo-experiments of each.
    folder
        Of the searches that are done.
    client
        Of Dask.

    Returns
    -------
    dict
        What was done, and the judgement.
    """
    folder.mkdir(parents=True, exist_ok=True)
    method = method_of(config)
    parts = config.model_dump(
        mode="json", include={"mass", "features", "classifier", "folds", "efficiencies", "statistics"}
    )
    key = digest(__version__, parts, *source.key(), source.events, config.seed)
    ledger = Ledger(folder / f"simulated-{key}-{toys}.jsonl")
    found = ledger.run(
        search,
        range(number),
        (source, method, toys, config.seed),
        client=client,
        progress=True,
        description="Searches",
    )
    return {
        "document": parts,
        "events": source.events,
        **source.facts(),
        "searches": number,
        "toys": toys,
        "result": judged(found, method.efficiencies),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="globs of embedded events without signal")
    parser.add_argument("--document", type=Path, help="a hunt whose sections to take; default: see above")
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--events", type=int, help="of a search, in the fit range; default: all of the pool over 10")
    parser.add_argument("--recombine", action="store_true", help="make the events of each search anew of their jets")
    parser.add_argument("--toys", type=int, default=25, help="pseudo-experiments of a search, at least 20")
    parser.add_argument("--workers", type=int, default=2, help="local processes, one thread each")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    given = DOCUMENT if options.document is None else yaml.safe_load(options.document.read_text())
    given = {name: part for name, part in given.items() if name not in {"input", "output", "cluster", "embed"}}
    config = HuntConfig.model_validate({**given, "input": {"events": options.files}, "output": str(options.output)})
    files = [str(glob) for glob in config.input.events]
    if options.recombine:
        if not options.events:
            parser.error("--recombine needs --events")
        table = pa.concat_tables([read_rows(path) for path in find_files(files, "embedded background events")])
        source: FromPool | Anew = Anew(Recombination(table, config.mass.build().fit_range), config, options.events)
    else:
        everything = read_events(files, config)
        pool = everything.sample if everything.truth is None else everything.take(~everything.truth).sample
        pool = replace(pool, weights=np.ones(len(pool.mass)))
        events = options.events or len(pool.mass) // 10
        if events > len(pool.mass):
            parser.error(f"--events: {events} of a pool of {len(pool.mass)}")
        source = FromPool(pool, events, options.searches, config.seed)
    how: dict[str, Any] = {"number": options.searches, "toys": options.toys, "folder": options.output}
    if options.workers > 1:
        with (
            LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
        ):
            result = searches(source, config, client=client, **how)
    else:
        result = searches(source, config, client=None, **how)
    print(shown(result["result"]))
    path = options.output / "calibration_simulated.json"
    about = machine("numpy", "scikit-learn", "iminuit", "distributed") | {"workers": options.workers}
    write_text(path, json.dumps({**result, "machine": about}, indent=1, default=str))
    print(f"written: {path}")


if __name__ == "__main__":
    main()
