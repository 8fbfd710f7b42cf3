"""The table "fault, tried, result" of every file, for a number of tries: `python -m tests.faults.table 500`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from jepa_coffea import __version__
from jepa_coffea.errors import JepaCoffeaError
from tests.faults.cases import CASES, Case
from tests.faults.kills import FRESH, killed

RESULTS = ("same", "line", "not checked", "silent", "raw")
"""Of a fault: nothing changed for the user; a clear line; a change that no checksum covers; a change without a word
that one should have; an exception that is not of the project."""


def tried(case: Case, folder: Path, tries: int, seed: int = 1) -> tuple[dict[str, Counter[str]], list[str]]:
    """Fault to result to how often, and what the last two kinds of results were."""
    draw = random.Random(f"{seed} {case.name}")
    path = case.make(folder)
    whole = path.read_bytes()
    expected = case.use(path)
    found: dict[str, Counter[str]] = {}
    bad: list[str] = []
    for number in range(tries):
        name, inflict = case.faults[number % len(case.faults)]
        content = inflict(whole, draw)
        path.write_bytes(content)
        result, text = _outcome(case, path, expected)
        if content == whole and result != "same":
            bad.append(f"{name} {number}: nothing was changed, and: {text}")
        if result in ("silent", "raw"):
            bad.append(f"{name} {number}: {text}")
        found.setdefault(name, Counter())[result] += 1
        path.unlink(missing_ok=True)
    return found, bad


def _outcome(case: Case, path: Path, expected: Any) -> tuple[str, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = case.use(path)
    except JepaCoffeaError as error:
        return "line", str(error)
    except Exception as error:  # noqa: BLE001  that it is of any other kind is the finding
        return "raw", f"{type(error).__name__}: {str(error)[:300]}"
    if repr(got) == repr(expected):
        return "same", ""
    return ("silent", f"{str(got)[:200]}") if case.checked else ("not checked", "")


def rows_of(number: int, tries: int, seed: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the table of one case, or of the kills for -1, and what was bad."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if number < 0:
            kills = killed(Path(folder), tries // 25, seed)
            bad = [f"{count} times {result}" for result, count in kills.items() if count and result != "same"]
            found = {"kill": kills}
        else:
            found, bad = tried(CASES[number], Path(folder), tries, seed)
    name = "a run with checkpoints" if number < 0 else CASES[number].name
    return [
        {"file": name, "fault": fault, "tried": results.total(), **{result: results[result] for result in RESULTS}}
        for fault, results in found.items()
    ], bad


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all, print the table, and write it where it is asked for; 1 if there is a silent or raw result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tries", type=int, help="of each kind of file; a run is killed once for 25 of them")
    parser.add_argument("--output", type=Path, help="JSON file")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    rows = []
    status = 0
    # The slowest, kills and the files that a whole run reads, begin first.
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=FRESH) as pool:
        done = [pool.submit(rows_of, number, options.tries, options.seed) for number in range(-1, len(CASES))]
        for found, bad in (job.result() for job in done):
            rows += found
            for row in found:
                counts = "".join(f"{result} {row[result]:<8}" for result in RESULTS)
                print(f"{row['file']:32}{row['fault']:12}{counts}", flush=True)
            for text in bad:
                print(f"    {text}", flush=True)
            status |= bool(bad)
    if options.output is not None:
        about = {"jepa-coffea": __version__, "machine": platform.platform(), "seed": options.seed}
        options.output.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
