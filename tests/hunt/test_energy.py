"""The energy of the collisions: the document gives it, the files say it, or nothing begins."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest

from jepa_coffea.commands.hunt import hunt
from jepa_coffea.errors import HistogramError
from jepa_coffea.hunt.config import HuntConfig, HuntError, StatisticsConfig
from jepa_coffea.hunt.energy import with_energy
from jepa_coffea.hunt.histogram import with_own_edges
from jepa_coffea.processing.embed_config import EmbedConfigError, read_embed_config
from tests.hunt.make import write_events


def config(folder, *, sqrt_s=None, **given):
    return HuntConfig.model_validate(
        {"input": {"events": [str(folder / "*.parquet")]}, "output": str(folder / "out")}
        | given
        | {"statistics": {"sqrt_s": sqrt_s}}
    )


def say(path, sqrt_s):
    """Make a file say another energy, or none."""
    said = {"model_hash": "abc"} | ({} if sqrt_s is None else {"sqrt_s": sqrt_s})
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"jepa_coffea": json.dumps(said).encode()}), path)
    return path


def test_files_and_documents(tmp_path):
    one, two = (write_events(tmp_path / f"{name}.parquet", 10) for name in "ab")
    assert with_energy(config(tmp_path)).statistics.energy == 13000
    assert with_energy(config(tmp_path, sqrt_s=13000)).statistics.energy == 13000
    with pytest.raises(HuntError, match=r"a.parquet is of collisions at 13000 GeV, statistics.sqrt_s says 13600"):
        with_energy(config(tmp_path, sqrt_s=13600))
    say(two, 13600)
    with pytest.raises(HuntError, match=r"b.parquet is of collisions at 13600 GeV, .*a.parquet says 13000"):
        with_energy(config(tmp_path))
    for wrong in ("13 TeV", -1, True):
        say(two, wrong)
        with pytest.raises(HuntError, match=r"b.parquet says sqrt_s = .*; expected a number above 0"):
            with_energy(config(tmp_path))
    say(two, None)
    with pytest.raises(HuntError, match=r"a.parquet is of collisions at 13000 GeV, .*b.parquet does not say it"):
        with_energy(config(tmp_path))
    assert with_energy(config(tmp_path, sqrt_s=13000)).statistics.energy == 13000
    say(one, None)
    with pytest.raises(HuntError, match=r"statistics.sqrt_s is not given, and the input does not say it"):
        with_energy(config(tmp_path))
    assert with_energy(config(tmp_path, sqrt_s=13600)).statistics.energy == 13600


def test_histograms(tmp_path):
    spectrum = {"counts": [5, 3], "edges": [2000, 2500, 3000]}
    (tmp_path / "h.json").write_text(json.dumps(spectrum | {"sqrt_s": 13600}))
    given = {"input": {"histogram": str(tmp_path / "h.json")}}
    assert with_energy(config(tmp_path, **given)).statistics.energy == 13600
    for silent in ("h.json", "h.root:mjj"):
        (tmp_path / "h.json").write_text(json.dumps(spectrum))
        with pytest.raises(HuntError, match="is not given, and the input does not say it"):
            with_energy(config(tmp_path, input={"histogram": str(tmp_path / silent)}))


def test_a_mass_axis_in_another_unit_is_noticed_before_the_work(tmp_path):
    write_events(tmp_path / "a.parquet", 10)
    mass = {"windows": [{"window": [2.6, 3.0], "sidebands": [2.2, 3.6]}], "fit_range": [2, 5], "bins": 25}
    with pytest.raises(HistogramError, match=r"all masses \(2 to 5\) are below a thousandth of sqrt_s = 13000"):
        with_energy(config(tmp_path, mass=mass))
    say(tmp_path / "a.parquet", None)
    with pytest.raises(HistogramError, match=r"masses must lie between 0 and sqrt_s = 1000 \(same unit\), got 1450 to"):
        with_energy(config(tmp_path, sqrt_s=1000))
    (tmp_path / "h.json").write_text(json.dumps({"counts": [5, 3], "edges": [2.0, 2.5, 3.0], "sqrt_s": 13000}))
    given = config(tmp_path, input={"histogram": str(tmp_path / "h.json")})
    with pytest.raises(HistogramError, match="are the masses in TeV and sqrt_s in GeV"):
        with_energy(with_own_edges(given))


@pytest.mark.parametrize(
    ("energy", "unit", "gev"),
    [(0.9, "TeV", "900"), (8, "TeV", "8000"), (13, "TeV", "13000"), (13.6, "TeV", "13600"), (13e6, "MeV", "13000")],
)
def test_an_energy_that_is_not_in_gev_is_noticed_wherever_it_stands(tmp_path, energy, unit, gev):
    masses = np.linspace(0.1, 0.5, 20) * energy  # as consistent as can be
    doubt = (
        f"sqrt_s = {re.escape(f'{energy:g}')}: GeV expected; is this {unit}\\? Then write {gev}, and all masses in GeV"
    )
    document = tmp_path / "hunt.yaml"
    spectrum = {"counts": [9] * 19, "edges": masses.tolist()}
    (tmp_path / "h.json").write_text(json.dumps(spectrum))
    document.write_text(f"input: {{histogram: h.json}}\noutput: out\nstatistics: {{sqrt_s: {energy}}}\n")
    with pytest.raises(HuntError, match=f"statistics.sqrt_s: {doubt}"):
        hunt(document, progress=False)
    (tmp_path / "h.json").write_text(json.dumps(spectrum | {"sqrt_s": energy}))
    document.write_text("input: {histogram: h.json}\noutput: out\n")
    with pytest.raises(HuntError, match=f"h.json says {doubt}"):
        hunt(document, progress=False)
    assert not (tmp_path / "out").exists()
    say(write_events(tmp_path / "a.parquet", 10), energy)
    with pytest.raises(HuntError, match=f"a.parquet says {doubt}"):
        with_energy(config(tmp_path))
    document.write_text(f"embed: {{model: pjepa-mini-4, files: {{data: a.root}}, output: e, sqrt_s: {energy}}}\n")
    with pytest.raises(EmbedConfigError, match=f"embed.sqrt_s: {doubt}"):
        read_embed_config(document)


@pytest.mark.parametrize("energy", [10.58, 91.2, 125, 209, 319, 500, 900, 1960, 13000, 13600, 100_000])
def test_energies_in_gev_are_taken_as_they_are(energy):
    assert StatisticsConfig(sqrt_s=energy).energy == energy


def test_nothing_begins_without_it(tmp_path):
    say(write_events(tmp_path / "a.parquet", 10), None)
    document = tmp_path / "hunt.yaml"
    document.write_text("input: {events: ['*.parquet']}\noutput: out\n")
    with pytest.raises(HuntError, match=r"e.g. statistics: {sqrt_s: 13000}"):
        hunt(document, progress=False)
    assert not (tmp_path / "out").exists()
    with pytest.raises(HuntError, match="sqrt_s is not given"):
        _ = StatisticsConfig().energy
