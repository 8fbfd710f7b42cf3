"""Every file that a run reads or writes: how one is made, how it is used, and what its faults may lead to."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import uproot
import yaml

from benchmarks.synthetic import write_jetclass
from jepa_coffea import JEPAEmbedder
from jepa_coffea.bumphunt.ledger import Ledger
from jepa_coffea.commands.wrap import CardDocument
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.documents import read_document
from jepa_coffea.encoder.card import KEY, parse_card
from jepa_coffea.encoder.onnx import OnnxEncoder
from jepa_coffea.encoder.self_test import validate
from jepa_coffea.encoder.weaver_inputs import parse_preprocess
from jepa_coffea.errors import JepaCoffeaError, ModelError
from jepa_coffea.files import read_sealed, sealed_line, unsealed_line, write_sealed
from jepa_coffea.files.folders import MARK, working_in
from jepa_coffea.files.parquet import read_rows, write_rows
from jepa_coffea.hunt.config import HuntConfig, read_config
from jepa_coffea.hunt.events import read_events
from jepa_coffea.hunt.histogram import read_histogram
from jepa_coffea.processing.checkpoints import Checkpointer
from jepa_coffea.processing.embed_config import read_embed_config
from jepa_coffea.processing.embedded_events import METADATA, write
from jepa_coffea.processing.filesets import list_files, normal_form
from jepa_coffea.processing.run import run
from processors.embed import EmbedProcessor
from tests.encoder.test_foreign import preprocess
from tests.encoder.test_self_test import reference
from tests.encoder.tiny import random_jets, write_tiny
from tests.faults.inflict import BYTES, STRUCTURE, Fault
from tests.hunt.make import write_events as write_dijets
from tests.processors.compare import contents
from tests.processors.synthetic import write_events
from tests.support.event_files import MINIATURES
from training.config import read_config as read_training
from training.data.preparation import prepare
from training.data.shards import ShardFile
from training.data.sources import Reading, expand, open_jets
from training.loop.checkpoint import read_checkpoint, save_checkpoint

ROOT = Path(__file__).parents[2]

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


def _parsed(path: Path) -> Any:
    return parse_preprocess(path.read_text(errors="replace"), str(path))


def _read_card(path: Path) -> Any:
    return read_document(path, CardDocument, ModelError)


def _hunted(folder: Path) -> Path:
    rows = pq.read_table(write_dijets(folder / "a.parquet", 50))
    write_rows(rows, folder / "a.parquet")
    return folder / "a.parquet"


def _hunt_events(path: Path) -> Any:
    mass = {"windows": [{"window": [2600, 3000], "sidebands": [2200, 3600]}], "fit_range": [2000, 5000]}
    given = {"input": {"events": [str(path)]}, "output": str(path.parent), "mass": mass}
    found = read_events([str(path)], HuntConfig.model_validate(given))
    return found.sample.X.tolist(), found.sample.mass.tolist(), found.identity.tolist(), found.models, found.names


def _histogram(folder: Path) -> Path:
    content = {"counts": [900, 500, 300, 100], "edges": [2000, 2600, 3000, 3600, 5000]}
    (folder / "h.json").write_text(json.dumps(content))
    return folder / "h.json"


def _root_histogram(folder: Path) -> Path:
    with uproot.recreate(folder / "h.root") as file:
        file["mjj"] = np.array([900, 500, 300, 100]), np.array([2000.0, 2600, 3000, 3600, 5000])
    return folder / "h.root"


def _spectrum(path: Path) -> Any:
    where = Path(f"{path}:mjj") if path.suffix == ".root" else path
    windows = Windows.single(2600, 3000, sidebands=(2000, 5000), bins=(2000, 2600, 3000, 3600, 5000))
    return read_histogram(where, windows).tolist()


def _ledger(folder: Path) -> Path:
    ledger = Ledger(folder / "ledger")
    for number in range(9):
        ledger.add(f"key {number}", _work(number))
    return folder / "ledger"


def _work(number: int) -> list[float]:
    return [number / 7, float(number)]


def _worked(path: Path) -> Any:
    """What is not in the ledger, since an interruption fell into its line, is done again."""
    ledger = Ledger(path)
    return [ledger[key] if (key := f"key {number}") in ledger else _work(number) for number in range(9)]


def _preprocess(folder: Path) -> Path:
    (folder / "preprocess.json").write_text(preprocess())
    return folder / "preprocess.json"


def _wrap_card(folder: Path) -> Path:
    card = {
        "name": "theirs",
        "training_data": "none",
        "fields": ["px", "py", "pz", "energy"],
        "max_particles": 64,
        "inputs": {"particles": "x", "mask": "m"},
        "outputs": {"embedding": "e"},
    }
    (folder / "card.yaml").write_text(json.dumps(card))
    return folder / "card.yaml"


def _training_checkpoint(folder: Path) -> Path:
    content = {"step": 3, "config": {"seed": 1}, "weights": torch.arange(300.0), "names": ["a", "b"]}
    save_checkpoint(content, folder / "a.pt")
    return folder / "a.pt"


def _weights(path: Path) -> Any:
    content = read_checkpoint(path)
    return {name: value.tolist() if isinstance(value, torch.Tensor) else value for name, value in content.items()}


def _shard(folder: Path) -> Path:
    write_jetclass(folder / "jets.root", 40, seed=0)
    prepare(str(folder / "jets.root"), folder / "shards", Reading())
    return Path(expand(str(folder / "shards"))[0])


def _shard_read(path: Path) -> Any:
    folder = path if path.is_dir() else path.parent
    shard = ShardFile(str(folder))
    shard.verify()
    columns = {name: column.tolist() for name, column in shard.read(0, shard.jets).arrays().items()}
    return columns, shard.fields, shard.class_names, shard.source


def _jets(path: Path) -> Any:
    file = open_jets(str(path), Reading())
    return {name: column.tolist() for name, column in file.read(0, file.jets).arrays().items()}


def _jetclass(folder: Path) -> Path:
    write_jetclass(folder / "jets.root", 40, seed=0)
    return folder / "jets.root"


def _rntuple(folder: Path) -> Path:
    return Path(shutil.copy(MINIATURES / "nano_v15_rntuple.root", folder / "events.root"))


def _training_document(folder: Path) -> Path:
    content = yaml.safe_load((ROOT / "training/configs/pjepa_mini.yaml").read_text())
    (folder / "training.yaml").write_text(json.dumps(content))
    return folder / "training.yaml"


def _read_training(path: Path) -> Any:
    return read_training(path, data=["jets.root"])


def _arrays(folder: Path) -> Path:
    _model(folder)
    flat, counts, jets = random_jets(np.random.default_rng(2), np.array([2, 1, 3]))
    content = {"particles": flat.tolist(), "counts": counts.tolist(), "jets": jets.tolist()}
    (folder / "arrays.json").write_text(json.dumps(content))
    return folder / "arrays.json"


def _encoded(path: Path) -> Any:
    """What numpy itself refuses never comes to the encoder."""
    content = json.loads(path.read_text())
    try:
        arrays = [np.array(content.get(name)) for name in ("particles", "counts", "jets")]
    except (ValueError, OverflowError):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = OnnxEncoder(path.parent / "model.onnx", provider="cpu")(*arrays)
    return {name: values.tolist() for name, values in found.items()}


CASES = (
    Case("events, ROOT", _events, _embed, checked=False),
    Case("model, ONNX", _model, _reference_jets),
    Case("card of a model", _card, lambda path: parse_card(path.read_text(errors="replace"), "card"), STRUCTURE, False),
    Case("checkpoint of a chunk", _checkpoint, _resumed),
    Case("embedded events, parquet", _rows, _embedded),
    Case("embedded events in a hunt", _hunted, _hunt_events),
    Case("histogram, JSON", _histogram, _spectrum, BYTES + STRUCTURE * 5, False),
    Case("histogram, ROOT", _root_histogram, _spectrum, checked=False),
    Case("ledger of a hunt", _ledger, _worked, BYTES[:2]),
    Case("preprocess.json of weaver", _preprocess, _parsed, BYTES + STRUCTURE * 5, False),
    Case("card to wrap with", _wrap_card, _read_card, BYTES + STRUCTURE * 5, False),
    Case("arrays for an encoder", _arrays, _encoded, STRUCTURE, False),
    Case("checkpoint of a training", _training_checkpoint, _weights),
    Case("column of a shard", lambda folder: _shard(folder) / "kinematics.npy", _shard_read),
    Case("description of a shard", lambda folder: _shard(folder) / "shard.json", _shard_read, BYTES + STRUCTURE * 5),
    Case("jets, JetClass ROOT", _jetclass, _jets, checked=False),
    Case("events, RNTuple", _rntuple, _jets, checked=False),
    Case("document of a training", _training_document, _read_training, BYTES + STRUCTURE * 5, False),
    Case("document of embed", _document, read_embed_config, BYTES + STRUCTURE * 5, False),
    Case("document of hunt", _document, read_config, BYTES + STRUCTURE * 5, False),
    Case("fileset, JSON", _fileset, lambda path: list_files(normal_form(path, "t")), BYTES + STRUCTURE * 5, False),
    Case("sealed file", _sealed, read_sealed),
    Case("log of sealed lines", _log, _lines, BYTES[1:2]),
    Case("mark of a folder", _mark, _taken, checked=False),
)
