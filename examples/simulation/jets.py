"""Samples of jets: shards, each a file of the JetClass schema, with a manifest that lets a broken run go on."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from examples.simulation import jetclass
from examples.simulation.clustering import cluster
from examples.simulation.containment import ContainmentFilter
from examples.simulation.detector import detect
from examples.simulation.generate import GIVE_UP, GenerationError, Generator, batch_size
from examples.simulation.observables import substructure
from examples.simulation.parallel import Accepted, run
from examples.simulation.samples import Sample, sample
from examples.simulation.seeds import PYTHIA_SEED_MAX, shard_seed
from jepa_coffea.errors import JepaCoffeaError
from jepa_coffea.files import file_hash, replacing
from training.data.classes import JETCLASS2

MANIFEST = "manifest.json"
Report = Callable[[int, int], None]


class ManifestError(JepaCoffeaError, ValueError):
    """A folder whose jets were made differently from what is asked now."""


@dataclass(frozen=True, kw_only=True)
class JetsConfig:
    """What jets to make; everything that a shard depends on besides its class and number."""

    seed: int
    jets_per_file: int = 10_000
    mpi: bool = False
    """Multi-parton interactions: off by default: they take two to four times longer and add little to a jet."""


@dataclass(frozen=True, kw_only=True)
class SampleFile:
    """One file to make."""

    config: JetsConfig
    name: str
    """Class or family of the jets."""
    number: int
    jets: int
    path: Path


def make_shard(shard: SampleFile, report: Report) -> tuple[int, float]:
    """Generate, match and write one file.

    Parameters
    ----------
    shard
        Which file.
    report
        Called with newly accepted jets and generated events.

    Returns
    -------
    tuple
        How many events that took, and how many seconds of one core.

    Raises
    ------
    GenerationError
        If none of very many events has a jet in range.
    """
    started = time.process_time()
    seed = shard_seed(shard.config.seed, f"jets {shard.name}", shard.number)
    rng = np.random.default_rng(seed.detector)
    wanted_jets = sample(shard.name)
    variants = wanted_jets.settings(mpi=shard.config.mpi)
    parts: list[dict[str, ak.Array]] = []
    generated = 0
    for i, settings in enumerate(variants):
        # Equal shares of the variants; the odd jet goes to another variant in the next file.
        wanted = (shard.jets + (shard.number + i) % len(variants)) // len(variants)
        veto = ContainmentFilter(wanted_jets.pt, wanted_jets.eta_max)
        generator = Generator(settings, seed=1 + (seed.pythia + i) % PYTHIA_SEED_MAX, veto=veto)
        parts += _matched_jets(generator, wanted_jets, wanted, rng, report)
        generated += generator.generated
    order = rng.permutation(shard.jets) if len(variants) > 1 else np.arange(shard.jets)
    jets = {name: ak.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    jetclass.write(shard.path, jets)
    return generated, time.process_time() - started


def _matched_jets(
    generator: Generator, jets_of: Sample, wanted: int, rng: np.random.Generator, report: Report
) -> Iterator[dict[str, ak.Array]]:
    """Batches of jets of a sample, ``wanted`` of them altogether."""
    accepted = 0
    while accepted < wanted:
        before = generator.generated
        record = generator.next(batch_size(wanted - accepted))
        jets = cluster(detect(record, rng), pt_min=jets_of.pt[0], eta_max=jets_of.eta_max)
        jets = jets.select(jets.pt < jets_of.pt[1])
        truth = jets_of.truth(record, jets)
        keep = truth.label >= 0
        keep[np.flatnonzero(keep)[wanted - accepted :]] = False
        jets, truth = jets.select(keep), truth.select(keep)
        yield jetclass.columns(record, jets, substructure(jets), truth) | jets_of.labels(truth)
        accepted += len(jets)
        report(len(jets), generator.generated - before)
        if accepted == 0 and generator.generated > GIVE_UP:
            msg = f"none of {generator.generated} events has a jet of {jets_of.name} in range"
            raise GenerationError(msg)


def make_jets(
    folder: Path, names: Sequence[str], jets: int, config: JetsConfig, *, workers: int
) -> dict[str, dict[str, float]]:
    """Make jets of each class or family; files that are there, made alike and intact stay.

    Parameters
    ----------
    folder
        Where the files are.
    names
        Classes or families.
    jets
        Jets of each.
    config
        How to make them.
    workers
        Number of processes.

    Returns
    -------
    per name: files, files kept from before, accepted jets, generated events, seconds of one core

    Raises
    ------
    ManifestError
        the folder holds jets of another seed or other settings.
    """
    manifest = _Manifest(folder, config, sample(names[0]))
    shards = [shard for name in names for shard in _shards(folder, name, jets, config)]
    kept = [shard for shard in shards if manifest.has(shard)]
    missing = [shard for shard in shards if shard not in kept]
    # Class by class in turns, so that all classes grow alike and a broken run is of use.
    missing.sort(key=lambda shard: shard.number)
    wanted, before = (sum(shard.jets for shard in some) for some in (shards, kept))
    with Accepted(str(folder), wanted, "jets", kept=before) as bar:
        for shard, (generated, seconds) in run(make_shard, missing, workers=workers, bar=bar):
            manifest.add(shard, generated, seconds)
    return {
        name: {
            "files": sum(s.name == name for s in shards),
            "kept": sum(s.name == name for s in kept),
            "accepted": sum(s.jets for s in shards if s.name == name),
            "generated": sum(manifest.generated(s) for s in shards if s.name == name),
            "seconds": sum(manifest.seconds(s) for s in shards if s.name == name),
        }
        for name in names
    }


def class_counts(folder: Path, families: Sequence[str]) -> dict[str, int]:
    """Jets of each class of JetClass-II in a folder of families.

    Parameters
    ----------
    folder
        Where :func:`make_jets` put them.
    families
        Those to count.

    Returns
    -------
    dict
        Class to number of jets, most first.
    """
    files = json.loads((folder / MANIFEST).read_text())["files"]
    found: Counter[str] = Counter()
    for name, entry in files.items():
        if entry["class"] in families:
            with uproot.open(folder / name) as file:
                labels = file["tree"]["jet_label"].array(library="np")
            found.update(JETCLASS2[label] for label in labels.tolist())
    return dict(found.most_common())


def _shards(folder: Path, name: str, jets: int, config: JetsConfig) -> Iterator[SampleFile]:
    for number, start in enumerate(range(0, jets, config.jets_per_file)):
        path = folder / f"{sample(name).file_name}_{number:03d}.root"
        yield SampleFile(
            config=config, name=name, number=number, jets=min(config.jets_per_file, jets - start), path=path
        )


class _Manifest:
    """What a folder of jets holds: settings, and per file its class, counts and checksum."""

    def __init__(self, folder: Path, config: JetsConfig, jets: Sample) -> None:
        self._path = folder / MANIFEST
        self._content: dict[str, Any] = {
            "schema": 1,
            "settings": asdict(config),
            "jet_pt": list(jets.pt),
            "jet_eta_max": jets.eta_max,
            "files": {},
        }
        if not self._path.exists():
            return
        try:
            found = json.loads(self._path.read_text())
        except ValueError as error:
            msg = f"{self._path} is no manifest of simulated jets ({error}): remove it, or use another folder"
            raise ManifestError(msg) from None
        for key in ("schema", "settings", "jet_pt", "jet_eta_max"):
            if found.get(key) != self._content[key]:
                msg = (
                    f"{self._path} is of jets with {key} {found.get(key)}, asked for {self._content[key]}: "
                    "use the same settings, or another folder"
                )
                raise ManifestError(msg)
        self._content = found

    def has(self, shard: SampleFile) -> bool:
        """Whether the shard is there, whole, and as it was written."""
        entry = self._content["files"].get(shard.path.name)
        return (
            entry is not None
            and entry["accepted"] == shard.jets
            and shard.path.exists()
            and entry["sha256"] == file_hash(shard.path)
        )

    def generated(self, shard: SampleFile) -> int:
        return int(self._content["files"][shard.path.name]["generated"])

    def seconds(self, shard: SampleFile) -> float:
        return float(self._content["files"][shard.path.name]["seconds"])

    def add(self, shard: SampleFile, generated: int, seconds: float) -> None:
        self._content["files"][shard.path.name] = {
            "class": shard.name,
            "accepted": shard.jets,
            "generated": generated,
            "seconds": round(seconds, 2),
            "sha256": file_hash(shard.path),
        }
        with replacing(self._path) as temporary:
            temporary.write_text(json.dumps(self._content, indent=1, sort_keys=True))
