"""No fault of any file is silent or shows a traceback: a few seeded tries of each; `make faults` does many."""

from pathlib import Path

import pytest

from tests.faults.cases import CASES, Case
from tests.faults.table import tried

FEW = {"events, ROOT": 15}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_fault_is_silent_or_raw(case: Case, tmp_path: Path) -> None:
    found, bad = tried(case, tmp_path, FEW.get(case.name, 60))
    assert bad == []
    assert sum(results.total() for results in found.values()) == FEW.get(case.name, 60)
