import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from jepa_coffea.bumphunt import Gaussian, scan
from jepa_coffea.commands.hunt import hunt
from jepa_coffea.hunt.config import read_config
from jepa_coffea.hunt.events import read_events
from jepa_coffea.hunt.experiment import Method
from jepa_coffea.hunt.pipeline import too_tight
from jepa_coffea.hunt.verdict import headline
from tests.hunt.make import write_events
from tests.hunt.test_pipeline import DOCUMENT


def write(folder, **changes):
    (folder / "hunt.yaml").write_text(yaml.safe_dump({**DOCUMENT, **changes}))
    return folder / "hunt.yaml"


@pytest.fixture
def spectrum(tmp_path):
    """A smooth spectrum in the bins of the document."""
    edges = read_config(write(tmp_path)).mass.build().edges
    centres = (np.array(edges)[1:] + np.array(edges)[:-1]) / 2
    counts = np.round(400 * np.exp(-(centres - 2000) / 500))
    (tmp_path / "h.json").write_text(json.dumps({"counts": counts.tolist(), "edges": list(edges), "sqrt_s": 13000}))
    return counts, np.array(edges)


def test_scans_look_for_peaks_of_the_widths_of_the_signal(tmp_path, spectrum):
    statistics = {"function": "dijet2", "goodness_toys": 0, "global_toys": 40}
    shared = {"input": {"histogram": "h.json"}, "statistics": statistics}
    wide = hunt(write(tmp_path, signal={"widths": [0.1, 0.03]}, **shared), progress=False)
    plain = scan(spectrum, signal=Gaussian(0.1), function="dijet2", toys=0)
    faked = wide.inclusive[0].scan.spurious  # of the function, which counts in Z and so in its toys
    assert (faked > 0).any()
    expected = scan(spectrum, signal=Gaussian(0.1), function="dijet2", spurious=faked, toys=0)
    assert wide.inclusive[0].scan.z == pytest.approx(expected.z)
    assert (np.abs(expected.z) <= np.abs(plain.z) + 1e-9).all()
    masses = sum(len(scan(spectrum, signal=Gaussian(w), function="dijet2", toys=0).masses) for w in (0.1, 0.03))
    assert wide.refitted.hypotheses == 1 + masses
    assert "a width of 0.1 of their mass" in (tmp_path / "out" / "report.html").read_text()
    narrow = hunt(write(tmp_path, **shared | {"statistics": statistics | {"global_toys": 0}}), progress=False)
    again = scan(spectrum, function="dijet2", spurious=narrow.inclusive[0].scan.spurious, toys=0)
    assert narrow.inclusive[0].scan.z == pytest.approx(again.z)
    assert "a width of 0.05 of their mass" in (tmp_path / "out" / "report.html").read_text()
    assert narrow.refitted is None
    assert dict(headline(narrow))["Global p"] == "none: no toys were made"
    if not narrow.reasons:
        assert "No toys were asked for (statistics.global_toys: 0)" in narrow.paragraph


def test_too_few_events_for_a_fit_are_said_before_the_work(tmp_path):
    write_events(tmp_path / "events.parquet", 4000)
    config = read_config(write(tmp_path, input={"events": [str(tmp_path / "events.parquet")]}, efficiencies=[0.1]))
    events = read_events(config.input.events, config)
    method = Method(config.recipe(), (0.1,), config.statistics)
    assert too_tight(events, method) == []
    one = too_tight(events, replace(method, efficiencies=(0.004,)))
    assert len(one) == 1
    assert "Too few events, window W1 has" in one[0]
    few = replace(events, sample=events.sample.take(events.sample.mass < 3005))
    (sentence,) = too_tight(few, method)
    assert sentence.startswith(
        "Too few events, window W1 has no number: at efficiency 0.1 beside the window 2600 to 3000"
    )
