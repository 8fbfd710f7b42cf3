"""Every file that a run reads or writes: how one is made, how it is used, and what its faults may lead to."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa

from jepa_coffea import JEPAEmbedder
from jepa_coffea.encoder.card import KEY, parse_card
from jepa_coffea.encoder.onnx import OnnxEncoder
from jepa_coffea.encoder.self_test import validate
from jepa_coffea.errors import JepaCoffeaError
from jepa_coffea.files import read_sealed, sealed_line, unsealed_line, write_sealed
from jepa_coffea.files.parquet import read_rows
from jepa_coffea.folders import MARK, working_in
from jepa_coffea.hunt.config import read_config
from jepa_coffea.processing.checkpoints import Checkpointer
from jepa_coffea.processing.embed_config import read_embed_config
from jepa_coffea.processing.embedded_events import METADATA, write
from jepa_coffea.processing.filesets import list_files, normal_form
from jepa_coffea.processing.run import run
from processors.embed import EmbedProcessor
from tests.encoder.test_self_test import reference
from tests.encoder.tiny import write_tiny
from tests.faults.inflict import BYTES, STRUCTURE, Fault
from tests.processors.compare import contents
from tests.processors.synthetic import write_events

CHUNK = {"dataset": "d", "filename": "f", "treename": "t", "entrystart": 0, "entrystop": 9, "fileuuid": "u"}


@dataclass(frozen=True)
class Case:
    """A kind of file."""

    name: str
    make: Callable[[Path], Path]
    """Writes a good one into a folder."""
    use: Callable[[Path], Any]
    """What a user gets of it."""
    faults: tuple[Fault, ...] = BYTES
    checked: bool = True
    """Whether every change of what the user gets must be noticed: not where the user wrote the file, nor in baskets of
    ROOT that it keeps without a checksum."""


def _model(folder: Path) -> Path:
    path = folder / "model.onnx"
    if not path.exists():
        write_tiny(path, classes=("QCD", "top"), reference=reference())
    return path


def _events(folder: Path) -> Path:
    _model(folder)
    return write_events(folder / "events.root", 30)


def _embed(path: Path) -> Any:
    processor = EmbedProcessor(JEPAEmbedder(path.parent / "model.onnx"))
    output = run(processor, {"d": [str(path)]}, chunksize=30, progress=False)
    bins = {name: {key: bins.tolist() for key, bins in contents(output[name]).items()} for name in ("mjj", "score")}
    return bins, output["bookkeeping"]["d"]["events"]


def _reference_jets(path: Path) -> Any:
    encoder = OnnxEncoder(path, provider="cpu")
    if not all(item.passed for item in validate(encoder)):
        msg = "DIFFERS"
        raise JepaCoffeaError(msg)
    return encoder.card.class_names, encoder.card.embedding_dim


def _card(folder: Path) -> Path:
    model = onnx.load(_model(folder))
    (text,) = (entry.value for entry in model.metadata_props if entry.key == KEY)
    (folder / "card.json").write_text(text)
    return folder / "card.json"


def _checkpoint(folder: Path) -> Path:
    processor = EmbedProcessor(JEPAEmbedder(_model(folder)))
    output = run(processor, {"d": [str(write_events(folder / "e.root", 30))]}, progress=False)
    keeper = Checkpointer(folder, processor)
    kept = {"out": {"mjj": output["mjj"], "cutflow": output["cutflow"]}, "processed": set()}
    keeper.save(kept, CHUNK, processor)
    return keeper.path(CHUNK)


def _resumed(path: Path) -> Any:
    processor = EmbedProcessor(JEPAEmbedder(path.parents[4] / "model.onnx"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = Checkpointer(path.parents[4], processor).load(CHUNK, processor)
    if found is None and said:
        raise JepaCoffeaError(str(said[0].message))
    return None if found is None else (found["out"]["cutflow"], found["out"]["mjj"].view(flow=True).tolist())


def _rows(folder: Path) -> Path:
    draw = np.random.default_rng(1)
    vectors = pa.array(draw.normal(size=320).astype(np.float32))
    columns = {"event": pa.array(range(20)), "jet1_embedding": pa.FixedSizeListArray.from_arrays(vectors, 16)}
    rows = pa.table(columns).replace_schema_metadata({METADATA: b'{"model_hash": "abc"}'})
    (name,) = write(rows, folder, "d", "a.parquet")
    return folder / name


def _embedded(path: Path) -> Any:
    rows = read_rows(path)
    return rows.to_pydict(), rows.schema.metadata.get(METADATA)


def _document(folder: Path) -> Path:
    _events(folder)
    path = folder / "hunt.yaml"
    embed = {
        "model": "model.onnx",
        "files": {"d": ["events.root"]},
        "output": "out",
        "selection": {"pt": 200},
        "cluster": {"kind": "slurm", "options": {"jobs": 1, "prologue": ["module load cuda"]}},
    }
    mass = {"windows": [{"window": [2500, 3100], "sidebands": [2200, 3400]}], "fit_range": [2000, 5000]}
    hunt = {"input": {"events": ["*.root"]}, "output": "hunt", "mass": mass, "efficiencies": [0.1, 0.01]}
    path.write_text(json.dumps({"embed": embed, **hunt}))
    return path


def _fileset(folder: Path) -> Path:
    given = {"d": {"files": {"a.root": {"object_path": "t", "steps": [[0, 3]]}, "b.root": "t"}, "metadata": {"w": 1}}}
    (folder / "fileset.json").write_text(json.dumps(given))
    return folder / "fileset.json"


def _sealed(folder: Path) -> Path:
    write_sealed(folder / "sealed", b"content of a file " * 9)
    return folder / "sealed"


def _log(folder: Path) -> Path:
    (folder / "log").write_text("".join(sealed_line(f'["key {n}", {n / 7}]') + "\n" for n in range(9)))
    return folder / "log"


def _lines(path: Path) -> Any:
    # As latin 1, so that any bytes are text; a reader of UTF-8 refuses some of them before it looks at the hash.
    return [unsealed_line(line, f"{path}:{n}") for n, line in enumerate(path.read_text("latin1").splitlines(), 1)]


def _mark(folder: Path) -> Path:
    with working_in(folder / "out", "hunt"):
        return folder / "out" / MARK


def _taken(path: Path) -> None:
    with working_in(path.parent, "hunt"):
        pass


CASES = (
    Case("events, ROOT", _events, _embed, checked=False),
    Case("model, ONNX", _model, _reference_jets),
    Case("card of a model", _card, lambda path: parse_card(path.read_text(errors="replace"), "card"), STRUCTURE, False),
    Case("checkpoint of a chunk", _checkpoint, _resumed),
    Case("embedded events, parquet", _rows, _embedded),
    Case("document of embed", _document, read_embed_config, BYTES + STRUCTURE * 5, False),
    Case("document of hunt", _document, read_config, BYTES + STRUCTURE * 5, False),
    Case("fileset, JSON", _fileset, lambda path: list_files(normal_form(path, "t")), BYTES + STRUCTURE * 5, False),
    Case("sealed file", _sealed, read_sealed),
    Case("log of sealed lines", _log, _lines, BYTES[1:2]),
    Case("mark of a folder", _mark, _taken, checked=False),
)
