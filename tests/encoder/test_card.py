"""The card survives the file, and what is no card is refused with a reason."""

import json
import random
from pathlib import Path

import onnx
import pytest

from jepa_coffea import read_card
from jepa_coffea.encoder.card import (
    KEY,
    VERSION,
    CardError,
    ModelCard,
    Parity,
    Reference,
    card_in,
    load_model,
    save_model,
    write_card,
)
from jepa_coffea.errors import ModelError
from tests.encoder.tiny import tiny_model, write_tiny

REFERENCE = Reference(
    counts=[1], particles=[[1.0] * 14], jets=[[1.0, 0.0, 0.0, 1.0]], outputs={"embedding": [[0.5] * 8]}
)


def test_round_trip(tmp_path: Path) -> None:
    options = {
        "classes": ("QCD", "Hbb"),
        "optional_fields": ("d0", "d0_err"),
        "macs_per_jet": {16: 1e6, 128: 2e7},
        "parity": Parity(max_relative=1e-6, jets=100),
        "reference": REFERENCE,
        "results": {"probe": {"accuracy": 0.7}},
    }
    card = read_card(write_tiny(tmp_path / "a.onnx", **options))
    assert card == ModelCard.model_validate_json(card.model_dump_json())
    assert card.class_names == ("QCD", "Hbb")
    assert card.macs_per_jet == {16: 1e6, 128: 2e7}
    assert card.reference == REFERENCE


def test_writing_again_replaces_the_card_and_keeps_other_metadata() -> None:
    model = tiny_model()
    model.metadata_props.add(key="author", value="someone")
    card = ModelCard.model_validate_json(model.metadata_props[0].value).model_copy(update={"name": "other"})
    write_card(model, card)
    assert sorted(prop.key for prop in model.metadata_props) == sorted(["author", KEY])


def changed(tmp_path: Path, **content: object) -> Path:
    model = tiny_model()
    model.metadata_props[0].value = json.dumps(json.loads(model.metadata_props[0].value) | content)
    onnx.save(model, str(tmp_path / "a.onnx"))
    return tmp_path / "a.onnx"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"version": VERSION + 1}, f"card version {VERSION + 1}, this jepa-coffea reads up to {VERSION}; upgrade"),
        ({"version": "new"}, "is not a model card"),
        ({"fields": ["px", "colour"]}, r"unknown \['colour'\]"),
        ({"optional_fields": ["subjet"]}, r"\['subjet'\] are not among fields"),
        ({"units": {"px": "MeV"}}, r"expected \{'px': 'GeV'\}"),
        ({"max_particles": 0}, "max_particles"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_invalid_cards(tmp_path: Path, content: dict[str, object], match: str) -> None:
    with pytest.raises(CardError, match=match):
        read_card(changed(tmp_path, **content))


def test_no_json(tmp_path: Path) -> None:
    model = tiny_model()
    model.metadata_props[0].value = "{"
    onnx.save(model, str(tmp_path / "a.onnx"))
    with pytest.raises(CardError, match="is not a model card"):
        read_card(tmp_path / "a.onnx")


def test_no_card(tmp_path: Path) -> None:
    model = tiny_model()
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "a.onnx"))
    with pytest.raises(CardError, match="from_weaver"):
        read_card(tmp_path / "a.onnx")


def test_errors_are_not_os_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file") as caught:
        read_card(tmp_path / "missing.onnx")
    error: BaseException | None = caught.value
    while error is not None:
        assert not isinstance(error, OSError)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_a_flipped_bit_anywhere_in_a_saved_file_is_refused(tmp_path: Path) -> None:
    path, draw = tmp_path / "a.onnx", random.Random(1)
    save_model(tiny_model(), path)
    load_model(path)
    whole = path.read_bytes()
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            changed = load_model(path)
        except ModelError:
            continue
        # What is not noticed is in the name of the seal alone.
        assert changed.graph == tiny_model().graph
        assert card_in(changed, "a") == card_in(tiny_model(), "a")
    path.write_bytes(whole[:-1])
    with pytest.raises(ModelError):
        load_model(path)


def test_another_card_breaks_no_seal(tmp_path: Path) -> None:
    save_model(tiny_model(), tmp_path / "a.onnx")
    model = load_model(tmp_path / "a.onnx")
    onnx.save(model, str(tmp_path / "same.onnx"))
    load_model(tmp_path / "same.onnx")
    model.graph.doc_string = "changed"
    onnx.save(model, str(tmp_path / "changed.onnx"))
    with pytest.raises(ModelError, match="damaged, or changed by another tool"):
        load_model(tmp_path / "changed.onnx")
    write_card(model, card_in(model, "a"))
    onnx.save(model, str(tmp_path / "b.onnx"))
    load_model(tmp_path / "b.onnx")
