from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster

from jepa_coffea.bumphunt import HistogramError, as_spectrum, shape_search
from jepa_coffea.bumphunt import toys as module
from jepa_coffea.bumphunt.toys import draw, run_toys
from tests.bumphunt.conftest import Truth

MASSES = [2400, 2700, 3000]


def test_same_numbers_here_on_dask_and_resumed(truth: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 20)
    families = [[shape_search((truth.observed(1), truth.edges), MASSES)]]
    z = run_toys(families, 50, seed=3, folder=tmp_path)
    assert z.shape == (50, 3)
    (ledger,) = tmp_path.glob("toys-*.jsonl")
    lines = ledger.read_text().splitlines()
    assert len(lines) == 3
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        assert np.array_equal(run_toys(families, 50, seed=3, client=client), z)
    assert not np.array_equal(run_toys(families, 50, seed=4, folder=tmp_path), z)

    # A second run reads what the first one finished, and does only what is missing.
    ledger.write_text("\n".join([lines[0], lines[2]]) + "\n")
    done: list[int] = []
    original = module.batch_of_toys

    def counted(families: object, toys: int, seed: int, index: int) -> np.ndarray:
        done.append(index)
        return original(families, toys, seed, index)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "batch_of_toys", counted)
    run_toys(families, 50, seed=3, folder=tmp_path)
    run_toys(families, 50, seed=4, folder=tmp_path)
    assert done == [1]
    # Other data: nothing stored may be taken for it.
    run_toys([[shape_search((truth.observed(2), truth.edges), MASSES)]], 50, seed=3, folder=tmp_path)
    assert done == [1, 0, 1, 2]


def test_nested_selections_share_their_events(truth: Truth) -> None:
    rng = np.random.default_rng(0)
    loose = truth.observed(1)
    tight = rng.binomial(loose.astype(int), 0.3).astype(float)
    family = [shape_search((n, truth.edges), MASSES, name=name) for n, name in ((loose, "all"), (tight, "30 %"))]
    a, b = draw(family, 4000, rng)
    assert np.all(b <= a)
    assert a.mean(axis=0) == pytest.approx(family[0].null.expected, rel=0.1)
    assert b.mean(axis=0) == pytest.approx(family[1].null.expected, rel=0.2)
    # Poisson each, and correlated as a subset is with its whole.
    assert np.corrcoef(a[:, 3], b[:, 3])[0, 1] == pytest.approx(np.sqrt(0.3), abs=0.06)
    assert a.var(axis=0)[:10] == pytest.approx(family[0].null.expected[:10], rel=0.1)
    with pytest.raises(HistogramError, match="no subset"):
        run_toys([family[::-1]], 10)


def test_other_binning_in_a_family_is_refused(truth: Truth) -> None:
    n = truth.observed(1)
    coarse = as_spectrum((n[::2] + n[1::2], truth.edges[::2]))
    family = [shape_search((n, truth.edges), MASSES), shape_search(coarse, MASSES)]
    with pytest.raises(HistogramError, match="same edges"):
        run_toys([family], 10)
