from dataclasses import replace

import pytest
import torch

from jepa_coffea.errors import BadFileError
from tests.training.batches import random_jets as jets
from training.loop.batches import InMemory, concatenate, labels_of, shortened, take


def test_concatenate_pads_to_the_longest() -> None:
    a, b = jets(3, 16), jets(2, 48, seed=1)
    both = concatenate([a, b])
    assert both.particles.shape == (5, 48, 14)
    assert torch.equal(both.mask.sum(1), torch.cat([a.mask.sum(1), b.mask.sum(1)]))
    assert torch.equal(both.particles[:3, :16], a.particles)
    assert not both.mask[:3, 16:].any()
    assert both.observables is None


def test_no_labels_is_an_error() -> None:
    with pytest.raises(BadFileError, match="no labels"):
        labels_of(replace(jets(2), labels=None))


def test_take_stops_at_the_number() -> None:
    parts = [jets(4, seed=s) for s in range(3)]
    assert torch.equal(take(parts, 6).jets, torch.cat([parts[0].jets, parts[1].jets[:2]]))
    assert len(take(parts, 99)) == 12


@pytest.mark.parametrize(("longest", "length"), [(0, 16), (1, 16), (16, 16), (17, 32), (60, 64), (64, 64)])
def test_shortened_to_a_multiple(longest: int, length: int) -> None:
    cut = shortened(jets(5, 64), longest)
    assert cut.mask.shape == (5, length)
    assert cut.particles.shape == (5, length, 14)


@pytest.mark.parametrize("bucketed", [False, True])
def test_an_epoch_has_each_jet_once_and_whole(bucketed: bool) -> None:
    batch = jets(40, 64)
    batches = list(InMemory(batch, 8, seed=3, bucketed=bucketed))
    assert [len(b) for b in batches] == [8] * 5
    assert sorted(float(x) for b in batches for x in b.jets[:, 0]) == sorted(batch.jets[:, 0].tolist())
    assert sum(int(b.mask.sum()) for b in batches) == int(batch.mask.sum())


def test_buckets_waste_little() -> None:
    padding = [
        sum(b.mask.numel() for b in InMemory(jets(400, 64), 40, seed=3, bucketed=bucketed))
        for bucketed in (False, True)
    ]
    assert padding[1] < 0.7 * padding[0]


def test_epochs_differ_and_positions_resume() -> None:
    batch = jets(10)
    loader = InMemory(batch, 4, seed=1)
    first = [b.jets for b in loader]
    assert [len(b) for b in first] == [4, 4]
    loader.set_epoch(1)
    iterator = iter(loader)
    assert not torch.equal(next(iterator).jets, first[0])
    state = loader.state_dict()
    rest = [b.jets for b in iterator]
    again = InMemory(batch, 4, seed=1)
    again.load_state_dict(state)
    for a, b in zip(again, rest, strict=True):
        assert torch.equal(a.jets, b)


def test_in_order_gives_every_jet_each_time() -> None:
    loader = InMemory(jets(10), 4, seed=None)
    for _ in range(2):
        assert sum(len(b) for b in loader) == 10
