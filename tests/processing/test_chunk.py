"""What a chunk has to say of its events."""

import awkward as ak
import pytest

from jepa_coffea.constituents.record import LayoutError
from jepa_coffea.processing.chunk import Chunk


class Events(ak.Array):
    """As coffea gives them, with metadata."""

    metadata = {"dataset": "ttbar", "fileuuid": "1", "entrystart": 0, "entrystop": 2}  # noqa: RUF012


def chunk(columns: dict[str, list[int]]) -> Chunk:
    return Chunk(ak.Array(ak.zip(columns, with_name="Events"), behavior={("*", "Events"): Events}))


def test_identity() -> None:
    numbers = {"run": [1, 1], "luminosityBlock": [2, 2], "event": [3, 4]}
    found = chunk(numbers).identity()
    assert {name: values.tolist() for name, values in found.items()} == numbers


def test_events_that_do_not_say_who_they_are() -> None:
    """As those of Delphes."""
    with pytest.raises(LayoutError, match="of dataset 'ttbar' have no luminosityBlock, event in"):
        chunk({"run": [1, 1]}).identity()
