"""Small and real events for the layouts."""

from pathlib import Path

import awkward as ak
import pytest
import uproot

from tests.support.event_files import event_files


@pytest.fixture(scope="session", params=event_files("pfnano.root"))
def pfnano_file(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="session")
def pfnano_arrays(pfnano_file: Path) -> ak.Array:
    """The branches as uproot gives them: flat names, no coffea."""
    with uproot.open(pfnano_file) as file:
        return file["Events"].arrays(filter_name="/(FatJet|FatJetPFCands|Jet|JetPFCands|PFCands)_.*/")
