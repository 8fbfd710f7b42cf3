import pytest
import torch

from tests.training.batches import random_jets as jets
from training.loop.memory import InMemory, collect, concatenate, rows, take, trimmed


def test_concatenate_pads_to_the_longest() -> None:
    a, b = jets(3, 16), jets(2, 48, seed=1)
    both = concatenate([a, b])
    assert both.particles.shape == (5, 48, 14)
    assert torch.equal(both.mask.sum(1), torch.cat([a.mask.sum(1), b.mask.sum(1)]))
    assert torch.equal(both.particles[:3, :16], a.particles)
    assert not both.mask[:3, 16:].any()
    assert both.observables is None


def test_collect_takes_the_first_of_each_class() -> None:
    parts = [jets(10, seed=s, classes=3) for s in range(4)]
    kept = collect(iter(parts), ["a", "b", "c"], 5)
    assert kept.labels is not None
    assert torch.bincount(kept.labels).tolist() == [5, 5, 5]
    everything = concatenate(parts)
    assert everything.labels is not None
    for label in range(3):
        first = everything.jets[everything.labels == label][:5]
        assert torch.equal(kept.jets[kept.labels == label], first)


def test_collect_says_which_class_is_short() -> None:
    with pytest.raises(ValueError, match=r"5 jets of every class.*only: b 3"):
        collect([rows(jets(10), torch.tensor([0, 2, 4, 6, 8, 1, 3, 5]))], ["a", "b"], 5)


def test_take_stops_at_the_number() -> None:
    parts = [jets(4, seed=s) for s in range(3)]
    assert torch.equal(take(parts, 6).jets, torch.cat([parts[0].jets, parts[1].jets[:2]]))
    assert len(take(parts, 99)) == 12


def test_trimmed_loses_no_particle() -> None:
    batch = jets(5, 64)
    short = rows(batch, batch.mask.sum(1) <= 20) if (batch.mask.sum(1) <= 20).any() else batch
    cut = trimmed(short)
    assert cut.mask.shape[1] % 16 == 0
    assert torch.equal(cut.mask.sum(1), short.mask.sum(1))


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
