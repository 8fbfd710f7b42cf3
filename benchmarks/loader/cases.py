"""What `benchmarks.loader` times: loaders, and the limits that no loader can pass."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uproot

from benchmarks.loader.weaver import weaver_batches
from benchmarks.timing import measure
from training.data.loader import DataConfig, make_loader
from training.data.preparation import prepare
from training.data.readers.jetclass_root import JET, PARTICLES
from training.data.sources import Reading, expand, open_jets

BATCH = 512
"""Jets in a batch, that of the JetClass trainings in the literature."""


def own_batches(files: str, *, preprocess: bool, **settings: Any) -> Iterator[int]:
    """Sizes of the batches of an epoch of this loader, standardised if asked for.

    Parameters
    ----------
    files
        Glob, or folder of shards.
    preprocess
        Whether to standardise on the CPU.
    **settings
        Fields of ``DataConfig``; ``rank`` and ``ranks``.

    Yields
    ------
    int
        Jets in a batch.
    """
    rank, ranks = settings.pop("rank", 0), settings.pop("ranks", 1)
    config = DataConfig(files=files, val_fraction=0, test_fraction=0, batch_size=BATCH, verify=False, **settings)
    loader = make_loader(config, labels=True, rank=rank, world_size=ranks)
    if preprocess:
        from training.models.preprocess import ParticleFeatures

        module = ParticleFeatures(loader.field_names, scale_to_jet_pt=False)
    with torch.inference_mode():
        for batch in loader:
            if preprocess:
                module(batch.particles, batch.mask, batch.jets)
            yield len(batch)


def cases(folder: Path) -> dict[str, Callable[..., Iterator[int]]]:
    """Every loader that is timed, by name.

    Parameters
    ----------
    folder
        Where the files are.

    Returns
    -------
    dict
        Name to a function that gives the sizes of the batches of an epoch.
    """
    root, shards = f"{folder}/*.root", str(folder / "shards")

    def _weaver(processes: int, fetch: str) -> Callable[..., Iterator[int]]:
        return lambda **_: weaver_batches(folder, batch_size=BATCH, processes=processes, fetch=fetch)

    return {
        "weaver, ROOT, by files": _weaver(1, "files"),
        "weaver, ROOT, a tenth of all files": _weaver(1, "tenth"),
        "weaver, ROOT, by files, two processes": _weaver(2, "files"),
        "ROOT": lambda **k: own_batches(root, preprocess=False, workers=1, **k),
        "ROOT, two threads": lambda **k: own_batches(root, preprocess=False, workers=2, **k),
        "ROOT + preprocessing": lambda **k: own_batches(root, preprocess=True, workers=1, **k),
        "shards": lambda **k: own_batches(shards, preprocess=False, workers=1, **k),
        "shards, mixed batches": lambda **k: own_batches(shards, preprocess=False, workers=1, bucketed=False, **k),
        "shards + preprocessing": lambda **k: own_batches(shards, preprocess=True, workers=1, **k),
    }


def decompression(folder: Path) -> dict[str, float]:
    """Reading and decompressing the baskets that JetClass training needs, and nothing else.

    Parameters
    ----------
    folder
        Where the files are.

    Returns
    -------
    dict
        From :func:`benchmarks.timing.measure`.
    """
    branches = [name for names in PARTICLES.values() for name in names] + list(JET)

    def _once() -> Iterator[int]:
        for path in sorted(folder.glob("*.root")):
            with uproot.open(path, handler=uproot.MemmapSource, array_cache=None, object_cache=None) as file:
                tree = file["tree"]
                for name in branches:
                    for number in range(tree[name].num_baskets):
                        tree[name].basket(number)
                yield tree.num_entries

    return measure(_once, 2)


def copying(folder: Path) -> dict[str, float]:
    """Copying the particles of all shards once: no loader that gives batches of their own does less.

    Parameters
    ----------
    folder
        Where the files are.

    Returns
    -------
    dict
        From :func:`benchmarks.timing.measure`.
    """
    files = [open_jets(path, Reading()) for path in expand(str(folder / "shards"))]

    def _once() -> Iterator[int]:
        for file in files:
            for array in file.read(0, file.jets).arrays().values():
                np.array(array, copy=True)
            yield file.jets

    return measure(_once, 3)


def preparing(folder: Path) -> dict[str, float]:
    """The prepare step.

    Parameters
    ----------
    folder
        Where the files are.

    Returns
    -------
    dict
        From :func:`benchmarks.timing.measure`.
    """

    def _once() -> Iterator[int]:
        with tempfile.TemporaryDirectory(dir=folder) as output:
            yield prepare(f"{folder}/*.root", Path(output), Reading()).jets

    return measure(_once, 1)


OTHERS = {"limit: decompression": decompression, "limit: copying shards": copying, "prepare": preparing}
"""What is timed beside loaders."""


def training_step(folder: Path, device: str) -> tuple[str, float]:
    """Jets per second of a training step (forward, backward) of the default encoder, and what was trained.

    Parameters
    ----------
    folder
        Where the files are.
    device
        ``cpu`` or ``cuda``.

    Returns
    -------
    tuple
        A description, and jets per second.
    """
    from training.models.encoder import Encoder, EncoderConfig

    config = DataConfig(files=str(folder / "shards"), val_fraction=0, test_fraction=0, batch_size=BATCH)
    steps = range(3 if device == "cpu" else 50)
    batches = [batch.to(device) for batch, _ in zip(make_loader(config), steps, strict=False)]
    encoder = Encoder(EncoderConfig()).to(device)

    def _step(number: int) -> None:
        batch = batches[number]
        encoded = encoder(batch.particles, batch.mask, batch.jets)
        (encoded.jet.square().mean() + encoded.tokens.square().mean()).backward()
        if device != "cpu":
            torch.cuda.synchronize()

    _step(0)
    start = time.perf_counter()
    for number in steps[1:]:
        _step(number)
    seconds = time.perf_counter() - start
    weights = sum(parameter.numel() for parameter in encoder.parameters())
    return f"{weights / 1e3:.0f} k weights on {device}", sum(len(batch) for batch in batches[1:]) / seconds
