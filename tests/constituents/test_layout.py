"""The registry: what is known, how a user adds a format, what an unknown file says."""

from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import pytest
import uproot

from jepa_coffea.constituents import LayoutError, Ragged, constituents_of, jets_of, layout, layouts, register


@pytest.fixture
def registry() -> Iterator[None]:
    before = dict(layout._LAYOUTS)
    yield
    layout._LAYOUTS.clear()
    layout._LAYOUTS.update(before)


EVENTS = ak.Array(
    {
        "Clusters": ak.zip({"pt": [[5.0, 7.0]], "eta": [[0.0, 0.0]], "phi": [[0.0, 0.5]], "mass": [[0.0, 0.0]]}),
        "Deposits": [[[{"x": 3.0}, {"x": 4.0}], [{"x": 6.0}]]],
    }
)


def test_known() -> None:
    assert {"pfnano", "jetclass"} <= set(layouts())
    assert all(known.description for known in layouts().values())


@pytest.mark.usefixtures("registry")
def test_one_function_adds_a_layout() -> None:
    with pytest.raises(LayoutError, match="no layout recognises these events"):
        constituents_of(EVENTS, "Clusters")

    @register("deposits", recognise=lambda columns: columns.has("Deposits", "x"), fields=("px", "py", "pz", "energy"))
    def deposits(columns, collection, fields):
        x = columns.get("Deposits", "x")
        return Ragged.of({"px": x, "py": x * 0, "pz": x * 0, "energy": x})

    found = constituents_of(EVENTS, "Clusters")
    assert found.px.to_list() == [[[4, 3], [6]]]
    assert jets_of(EVENTS, "Clusters").energy.to_list() == [[5, 7]]
    with pytest.raises(LayoutError, match=r"'deposits' cannot give \['charge'\] for Clusters"):
        constituents_of(EVENTS, "Clusters", fields=("px", "charge"))


def test_unknown_name() -> None:
    with pytest.raises(LayoutError, match="unknown layout 'pfnanno'; known are"):
        constituents_of(EVENTS, layout="pfnanno")


def test_jets_without_candidates(shared_data: Path) -> None:
    with uproot.open(shared_data / "nano_tt_v12.root") as file:
        events = file["Events"].arrays(filter_name="FatJet_*")
    with pytest.raises(LayoutError, match=r"no particle-flow candidates.*NanoAOD before v15"):
        constituents_of(events)
