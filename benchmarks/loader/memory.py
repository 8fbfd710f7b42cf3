"""Peak memory of preparing and of streaming, by kind of file and its size: it must not grow with the size.

python -m benchmarks.loader.memory --events EVENTS.root --megabytes 300

Every file is made by writing the same jets (or the same events) again and again. Each measurement is a process of its
own. ``anonymous`` is memory of the process's own; ``resident`` has the pages of mapped files in it as well, which the
system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import uproot
from rich.console import Console
from rich.table import Table

from benchmarks.machine import ROOT
from benchmarks.synthetic import MULTIPLICITY, jet_arrays
from jepa_coffea.files import write_text

BRANCHES = "/(run|luminosityBlock|event|(FatJet|FatJetPFCands|PFCands)_.*)/"
COLLECTIONS = ("FatJet", "FatJetPFCands", "PFCands")
JETS = 10_000


def jets() -> dict[str, Any]:
    """The same jets every time.

    Returns
    -------
    dict
        Branch to array.
    """
    rng = np.random.default_rng(0)
    return jet_arrays(rng, np.clip(rng.normal(*MULTIPLICITY, JETS), 2, 128).astype(np.int64), "QCD")


def repeat(write: Callable[[], Any], path: Path, size: int) -> None:
    """Write until the file has ``size`` bytes.

    Parameters
    ----------
    write
        Adds some entries to the file.
    path
        The file.
    size
        Bytes.
    """
    while path.stat().st_size < size:
        write()


def root_jets(path: Path, size: int, _: Path) -> None:
    """JetClass, ROOT.

    Parameters
    ----------
    path
        The file.
    size
        Bytes.
    _
        Not used.
    """
    arrays = jets()
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        tree = file.mktree("tree", {k: v.type if isinstance(v, ak.Array) else v.dtype for k, v in arrays.items()})
        repeat(lambda: tree.extend(arrays), path, size)


def parquet_jets(path: Path, size: int, _: Path) -> None:
    """JetClass-II, parquet, 100 000 jets per row group as in the published files.

    Parameters
    ----------
    path
        The file.
    size
        Bytes.
    _
        Not used.
    """
    arrays = jets()
    part = {f"part_{name}": arrays["part"][name] for name in arrays["part"].fields}
    entries = ak.zip(part | {name: v for name, v in arrays.items() if name.startswith("jet_")}, depth_limit=1)
    group = ak.to_arrow_table(ak.concatenate([entries] * 10), extensionarray=False)
    with pq.ParquetWriter(path, group.schema, compression="zstd") as file:
        repeat(lambda: file.write_table(group, row_group_size=len(group)), path, size)


def events(path: Path, size: int, source: Path) -> None:
    """PFNano.

    Parameters
    ----------
    path
        The file.
    size
        Bytes.
    source
        File whose events are repeated.
    """
    with uproot.open(source) as given:
        arrays = given["Events"].arrays(filter_name=BRANCHES)
    grouped: dict[str, Any] = {name: arrays[name] for name in ("run", "luminosityBlock", "event")}
    for name in COLLECTIONS:
        fields = [field for field in arrays.fields if field.startswith(f"{name}_")]
        grouped[name] = ak.zip({field.removeprefix(f"{name}_"): arrays[field] for field in fields})
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        tree = file.mktree("Events", {name: array.type.content for name, array in grouped.items()})
        repeat(lambda: tree.extend(grouped), path, size)


def anonymous() -> float:
    """Memory of this process's own, MB.

    Returns
    -------
    float
        MB.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1000


def measured(work: str, path: str, output: str) -> dict[str, float]:
    """In a process of its own: prepare ``path``, or stream it.

    Parameters
    ----------
    work
        ``prepare`` or ``stream``.
    path
        What to read.
    output
        Folder of the shards that are prepared.

    Returns
    -------
    dict
        MB before and at most, resident MB, jets, seconds.
    """
    import resource

    from training.data.loader import DataConfig, make_loader
    from training.data.preparation import prepare
    from training.data.sources import Reading

    before, peak, done = anonymous(), [0.0], threading.Event()

    def _watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], anonymous())

    watcher = threading.Thread(target=_watch)
    watcher.start()
    begin, count = time.perf_counter(), 0
    if work == "prepare":
        count = prepare(path, Path(output), Reading(), skip_bad=True).jets
    else:
        config = DataConfig(files=path, val_fraction=0, test_fraction=0, skip_bad=True)
        count = sum(len(batch) for batch in make_loader(config))
    seconds = time.perf_counter() - begin
    done.set()
    watcher.join()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"before": before, "anonymous": peak[0], "resident": resident, "jets": count, "seconds": seconds}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=Path, help="PFNano file whose events are repeated")
    parser.add_argument("--megabytes", type=int, default=300, help="of the large file; the small one has a quarter")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "memory.json")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(*options.one)))
        return
    kinds: dict[str, Any] = {"JetClass ROOT": (root_jets, ".root"), "JetClass-II parquet": (parquet_jets, ".parquet")}
    if options.events:
        kinds["PFNano events"] = (events, ".root")
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, Console(stderr=True).status("measuring"):
        for kind, (make, suffix) in kinds.items():
            for size in (options.megabytes // 4, options.megabytes):
                path = Path(folder, f"jets{suffix}")
                make(path, size * 1_000_000, options.events)
                for work, source in (("prepare", path), ("stream", path), ("stream shards", Path(folder, "shards"))):
                    command = [
                        sys.executable,
                        "-m",
                        "benchmarks.loader.memory",
                        "--one",
                        work,
                        str(source),
                        f"{folder}/shards",
                    ]
                    answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
                    found[f"{kind}, {size} MB, {work}"] = json.loads(answer.stdout.splitlines()[-1])
    table = Table("", "MB before", "MB anonymous", "MB resident", "jets", "seconds", title="Peak memory")
    for name, values in found.items():
        table.add_row(name, *(f"{value:.0f}" for value in values.values()))
    Console().print(table)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(options.output, json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
