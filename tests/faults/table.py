"""The table "fault, tried, result" of every file, for a number of tries: `python -m tests.faults.table 500`."""

from __future__ import annotations

import argparse
import json
import platform
import random
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jepa_coffea import __version__
from jepa_coffea.errors import JepaCoffeaError
from tests.faults.cases import CASES, Case
from tests.faults.kills import killed

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all, print the table, and write it where it is asked for; 1 if there is a silent or raw result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tries", type=int, help="of each kind of file")
    parser.add_argument("--output", type=Path, help="JSON file")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    rows = []
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        kills = killed(Path(folder), options.tries // 25, options.seed)
    rows.append({"file": "a run with checkpoints", "fault": "kill", "tried": kills.total(), **kills})
    print(rows[-1])
    status |= bool(kills["silent"] or kills["raw"])
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            found, bad = tried(case, Path(folder), options.tries, options.seed)
        for fault, results in found.items():
            counts = {result: results[result] for result in RESULTS}
            rows.append({"file": case.name, "fault": fault, "tried": results.total(), **counts})
            print(f"{case.name:28}{fault:12}" + "".join(f"{name} {count:<8}" for name, count in counts.items()))
        for text in bad:
            print(f"    {text}")
        status |= bool(bad)
    if options.output is not None:
        about = {"jepa-coffea": __version__, "machine": platform.platform(), "seed": options.seed}
        options.output.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
