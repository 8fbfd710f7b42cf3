"""Jets and a tiny run that the tests of training share."""

from pathlib import Path

import pytest

from benchmarks.synthetic import write_jetclass

FILES = {"ZJetsToNuNu": "QCD", "HToBB": "Hbb", "TTBar": "Tbqq"}


@pytest.fixture(scope="session")
def jetclass(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Glob of small files of the JetClass schema, three classes."""
    folder = tmp_path_factory.mktemp("jetclass")
    for seed, (name, label) in enumerate(FILES.items()):
        write_jetclass(Path(folder / f"{name}_000.root"), 300, seed=seed, label=label)
    return str(folder / "*.root")
