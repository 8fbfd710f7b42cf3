"""The registry: what is known, how a user adds a format, what an unknown file says."""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import awkward as ak
import cloudpickle
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema

from jepa_coffea.constituents import LayoutError, Ragged, constituents_of, jets_of, layout, layouts, register
from jepa_coffea.constituents.ragged import Nesting
from jepa_coffea.constituents.record import KINEMATICS
from tests.support.event_files import event_files


@pytest.fixture
def registry() -> Iterator[None]:
    layout.known()  # all are registered once in a process, and stay
    before = dict(layout._LAYOUTS)
    yield
    layout._LAYOUTS.clear()
    layout._LAYOUTS.update(before)


EVENTS = ak.Array(
    {
        "Clusters": ak.zip({"pt": [[5.0, 7.0]], "eta": [[0.0, 0.0]], "phi": [[0.0, 0.0]], "mass": [[0.0, 0.0]]}),
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


@pytest.mark.usefixtures("registry")
def test_an_installed_package_brings_a_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by its entry point, without an import; so that documents and workers can name it."""
    (tmp_path / "their_layout.py").write_text(
        "from jepa_coffea.constituents import Ragged, register\n"
        "@register('theirs', recognise=lambda columns: columns.has('Deposits', 'x'), tree='theirs')\n"
        "def read(columns, collection, fields):\n"
        "    'Deposits.'\n"
        "    x = columns.get('Deposits', 'x')\n"
        "    return Ragged.of({name: x if name in ('px', 'energy') else 0 * x for name in fields})\n"
    )
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[jepa_coffea.layouts]\ntheirs = their_layout\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_layout", raising=False)
    layout._import_all.cache_clear()
    assert layouts()["theirs"].tree == "theirs"
    assert constituents_of(EVENTS, "Clusters").px.to_list() == [[[4, 3], [6]]]
    (info / "entry_points.txt").write_text("[jepa_coffea.layouts]\ntheirs = no_such_module\n")
    layout._import_all.cache_clear()
    with pytest.raises(LayoutError, match="layout 'theirs' of an installed package, no_such_module, cannot be imp"):
        layouts()
    (info / "entry_points.txt").unlink()
    layout._import_all.cache_clear()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda x: ak.zip({"px": x}), "expected a Ragged from its function, got Array"),
        (lambda x: Ragged.of({"px": x}), "promised .* for Clusters and gave only"),
        (lambda x: Ragged.of(dict.fromkeys(KINEMATICS, x[0])), "expected lists of jets, got one jet per entry"),
        (lambda x: Ragged(dict.fromkeys(KINEMATICS, np.ones(2)), np.array([1, 2]), Nesting(np.array([2]))), "counts"),
    ],
)
@pytest.mark.usefixtures("registry")
def test_what_a_layout_gives_is_checked(given: Callable[[ak.Array], Ragged], message: str) -> None:
    @register("odd", recognise=lambda columns: columns.has("Deposits", "x"), fields=KINEMATICS)
    def odd(columns, collection, fields):
        return given(columns.get("Deposits", "x"))

    with pytest.raises(LayoutError, match=f"layout 'odd'.*{message}"):
        constituents_of(EVENTS, "Clusters")


def test_schemas_are_quiet_and_pickle() -> None:
    for name, form in layouts().items():
        schema = form.schema_class()
        assert schema is form.schema_class(), name
        assert not getattr(schema, "warn_missing_crossrefs", False)
        assert issubclass(cloudpickle.loads(cloudpickle.dumps(schema)), BaseSchema)
    odd = dataclasses.replace(layouts()["pfnano"], schema="coffea.nanoevents:NoSchema")
    with pytest.raises(LayoutError, match=r"its schema 'coffea.nanoevents:NoSchema' is no class"):
        odd.schema_class()


def test_unknown_name() -> None:
    with pytest.raises(LayoutError, match="unknown layout 'pfnanno'; did you mean 'pfnano'"):
        constituents_of(EVENTS, layout="pfnanno")


@pytest.mark.parametrize("path", event_files("nano_v12.root"))
def test_jets_without_candidates(path: Path) -> None:
    with uproot.open(path) as file:
        events = file["Events"].arrays(filter_name="FatJet_*")
    with pytest.raises(LayoutError, match=r"no particle-flow candidates.*NanoAOD before v15"):
        constituents_of(events)
