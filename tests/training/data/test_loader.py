"""The loader: every jet once, the same batches whatever the machine, exact resume, disjoint ranks."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.synthetic import write_jetclass
from jepa_coffea.constituents.record import DISPLACEMENT, FIELDS, IDENTITY, KINEMATICS, SUBJET
from jepa_coffea.errors import BadFileError
from tests.training.data.conftest import jet_ids
from training.data.batch import Batch
from training.data.loader import DataConfig, Loader, make_loader
from training.data.preparation import prepare
from training.data.sources import Reading

Configure = Callable[..., DataConfig]


def assert_same(one: Batch, other: Batch) -> None:
    for name in ("particles", "mask", "jets", "labels", "observables"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_each_jet_once_per_epoch_in_another_order(configure: Configure) -> None:
    loader = make_loader(configure(), labels=True)
    first, second = jet_ids(loader), jet_ids(loader)
    assert len(np.unique(first)) == len(first) == loader.jets_per_epoch == 6600
    assert not np.array_equal(first, second)
    assert np.array_equal(np.sort(first), np.sort(second))


def test_root_and_shards_hold_the_same_jets(jetclass: Path, shards: Path) -> None:
    both = []
    for files in (f"{jetclass}/*.root", str(shards)):
        config = DataConfig(files=files, val_fraction=0, test_fraction=0, bucketed=False, max_particles=128)
        batches = list(make_loader(config, labels=True))
        order = np.argsort(jet_ids(batches))
        counts = torch.cat([batch.mask.sum(1) for batch in batches])[order]
        padded = [torch.nn.functional.pad(b.particles, (0, 0, 0, 128 - b.particles.shape[1])) for b in batches]
        columns = [torch.cat([getattr(b, name) for b in batches])[order] for name in ("jets", "labels", "observables")]
        both.append([counts, torch.cat(padded)[order], *columns])
    for root, shard in zip(*both, strict=True):
        assert torch.equal(root, shard)


def test_shapes_and_order(configure: Configure) -> None:
    loader = make_loader(configure(), labels=True)
    assert loader.class_names[:2] == ("QCD", "Hbb")
    batches = list(loader)
    assert len(batches) == len(loader)
    for batch in batches:
        jets, length, fields = batch.particles.shape
        assert fields == len(FIELDS)
        assert length % 16 == 0
        assert batch.mask.shape == (jets, length)
        assert batch.particles.dtype == torch.float32
        assert (batch.particles[~batch.mask] == 0).all()
        assert (batch.mask[:, :-1] >= batch.mask[:, 1:]).all(), "particles first, padding after"
        pt = torch.hypot(batch.particles[..., 0], batch.particles[..., 1])
        assert (pt[:, :-1] >= pt[:, 1:]).all()
        assert batch.labels.dtype == torch.int64
        names = loader.observable_names
        assert torch.equal(batch.observables[:, names.index("n_particles")], batch.mask.sum(1).float())
    # All full but the last window's; several lengths occur, so that little is padding.
    assert sum(len(batch) != 64 for batch in batches) <= 30
    assert len({batch.mask.shape[1] for batch in batches}) > 3
    assert sum(b.mask.sum().item() for b in batches) / sum(b.mask.numel() for b in batches) > 0.75


@pytest.mark.parametrize("settings", [{}, {"tokens": 4096}, {"bucketed": False}])
def test_same_batches_whatever_the_number_of_threads(configure: Configure, settings: dict) -> None:
    one = list(make_loader(configure(workers=1, prefetch=1, **settings), labels=True))
    four = list(make_loader(configure(workers=4, prefetch=9, **settings), labels=True))
    assert len(one) == len(four)
    for a, b in zip(one, four, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("settings", [{}, {"tokens": 4096}])
def test_ranks_are_slices_of_the_one_batch(configure: Configure, settings: dict) -> None:
    whole = list(make_loader(configure(**settings), labels=True))
    parts = [list(make_loader(configure(**settings), labels=True, rank=rank, world_size=3)) for rank in range(3)]
    assert {len(part) for part in parts} == {len(whole)}
    for step, batch in enumerate(whole):
        for rank in range(3):
            mine = parts[rank][step]
            assert torch.equal(mine.particles, batch.particles[rank::3])
            assert torch.equal(mine.labels, batch.labels[rank::3])


@pytest.mark.parametrize("settings", [{}, {"tokens": 4096}])
@pytest.mark.parametrize("stop", [17, 84])
def test_resume_anywhere_in_the_second_epoch(configure: Configure, stop: int, settings: dict) -> None:
    loader = make_loader(configure(**settings), labels=True)
    loader.set_epoch(1)
    expected = list(loader)
    loader.set_epoch(1)
    list(itertools.islice(loader, stop))
    state = loader.state_dict()
    resumed = make_loader(configure(workers=1, **settings), labels=True)
    resumed.load_state_dict(state)
    resumed.set_epoch(1)
    rest = list(resumed)
    assert len(rest) == len(expected) - stop
    for a, b in zip(rest, expected[stop:], strict=True):
        assert_same(a, b)
    # and the next epoch is that of an undisturbed run
    loader.set_epoch(2)
    assert_same(next(iter(resumed)), next(iter(loader)))


def test_resume_refuses_other_data(configure: Configure) -> None:
    state = make_loader(configure()).state_dict()
    with pytest.raises(ValueError, match="other data"):
        make_loader(configure(batch_size=32)).load_state_dict(state)
    with pytest.raises(ValueError, match="other data"):
        make_loader(configure(), seed=1).load_state_dict(state)


@pytest.mark.parametrize("prepared", [False, True])
def test_resume_refuses_changed_data_of_the_same_name_and_size(tmp_path: Path, prepared: bool) -> None:
    path = tmp_path / "TTBar_000.root"

    def loader_of(seed: int) -> Loader:
        write_jetclass(path, 300, seed=seed)
        if prepared:
            prepare(str(path), tmp_path / "shards", Reading())
        files = tmp_path / "shards" if prepared else path
        return make_loader(DataConfig(files=str(files), batch_size=32))

    before = loader_of(1).state_dict()
    if prepared:
        loader_of(1).load_state_dict(before)
    with pytest.raises(ValueError, match="other data"):
        loader_of(2).load_state_dict(before)


def test_stopping_early_starts_the_epoch_again(configure: Configure) -> None:
    loader = make_loader(configure(), labels=True, split="train")
    first = next(iter(loader))
    assert_same(first, next(iter(loader)))


def test_token_budget(configure: Configure) -> None:
    batches = list(make_loader(configure(tokens=4096)))
    assert max(batch.mask.numel() for batch in batches) <= 4096
    assert min(batch.mask.numel() for batch in batches) > 2048
    with pytest.raises(TypeError, match="jets_per_epoch"):
        len(make_loader(configure(tokens=4096)))


def test_hardest_particles_are_kept(configure: Configure) -> None:
    full = list(make_loader(configure(bucketed=False)))
    cut = list(make_loader(configure(bucketed=False, max_particles=16)))
    for a, b in zip(full, cut, strict=True):
        assert b.particles.shape[1] == 16
        assert torch.equal(a.particles[:, :16], b.particles)


def test_labels_are_left_out_unless_wanted(configure: Configure) -> None:
    assert next(iter(make_loader(configure()))).labels is None


@pytest.mark.parametrize("fields", [KINEMATICS, KINEMATICS + IDENTITY, KINEMATICS + DISPLACEMENT])
def test_some_fields(configure: Configure, fields: tuple[str, ...]) -> None:
    places = [FIELDS.index(name) for name in fields]
    for some, every in zip(make_loader(configure(fields=fields)), make_loader(configure()), strict=True):
        assert torch.equal(some.particles, every.particles[..., places])


def test_fields_in_another_order_are_refused(configure: Configure) -> None:
    with pytest.raises(ValueError, match=r"fields: .*'energy', 'd0'"):
        configure(fields=(*KINEMATICS, "d0"))


def test_subjets_streamed_and_prepared(jetclass: Path, shards: Path, tmp_path: Path) -> None:
    fields = (*FIELDS, SUBJET)
    source = f"{jetclass}/TTBar_000.root"
    prepare(source, tmp_path, Reading(subjets=True))
    both = []
    for files in (source, str(tmp_path)):
        config = DataConfig(files=files, fields=fields, val_fraction=0, test_fraction=0, batch_size=64)
        both.append(list(make_loader(config)))
    for one, other in zip(*both, strict=True):
        assert torch.equal(one.particles, other.particles)
        subjet = one.particles[..., 14]
        assert (subjet[:, 0] <= subjet.amax(1)).all()
        assert ((subjet == 0) & one.mask).any(1).all(), "every jet has a first subjet"
        assert subjet.max() > 3
    with pytest.raises(BadFileError, match=r"knows no subjet .* prepare it with --subjets"):
        make_loader(DataConfig(files=str(shards), fields=fields))
