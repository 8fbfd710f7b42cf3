"""Fingerprints of functions: other code, defaults, constants or enclosed values give another; another process not."""

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from jepa_coffea.processing.fingerprint import fingerprint
from jepa_coffea.processing.systematics import EnergyScale

ROOT = Path(__file__).parent.parent
FACTOR = 1.5


def scaled(factor: float) -> Callable[[float], float]:
    return lambda value: value * factor


def by_constant(value: float) -> float:
    return value * FACTOR


def test_tells_functions_apart() -> None:
    found = {
        fingerprint(function)
        for function in (
            scaled(1.1),
            scaled(1.2),
            lambda value: value + 1,
            lambda value: value + 2,
            lambda value, by=1: value + by,
            lambda value, by=2: value + by,
            functools.partial(scaled, 1.1),
            functools.partial(scaled, 1.2),
            EnergyScale(1.1),
            EnergyScale(1.2),
            EnergyScale(1.2).__call__,
            max,
            min,
        )
    }
    assert len(found) == 13
    assert fingerprint(scaled(1.1)) == fingerprint(scaled(1.1))


def test_knows_constants_of_the_module() -> None:
    before = fingerprint(by_constant)
    globals()["FACTOR"] = 2.5
    after = fingerprint(by_constant)
    globals()["FACTOR"] = 1.5
    assert before != after
    assert fingerprint(by_constant) == before


def test_same_in_another_process() -> None:
    code = (
        "from jepa_coffea.processing.fingerprint import fingerprint as f\n"
        "from jepa_coffea.processing.systematics import EnergyScale\n"
        "print(f(EnergyScale(1.1)), f((lambda a: lambda b: {a: b})('x')), sep='\\n')"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
        for _ in range(2)
    }
    assert len(runs) == 1
    assert fingerprint(EnergyScale(1.1)) in runs.pop()
