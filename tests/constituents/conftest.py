"""Real and small hand-made events for the layouts."""

from pathlib import Path

import awkward as ak
import pytest
import uproot


@pytest.fixture(scope="session")
def pfnano_file(shared_data: Path) -> Path:
    return shared_data / "pfnano.root"


@pytest.fixture(scope="session")
def pfnano_arrays(pfnano_file: Path) -> ak.Array:
    """The branches as uproot gives them: flat names, no coffea."""
    with uproot.open(pfnano_file) as file:
        return file["Events"].arrays(filter_name="/(FatJet|FatJetPFCands|Jet|JetPFCands|PFCands)_.*/")
