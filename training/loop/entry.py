"""What the entry scripts share: options, errors in one line, run folders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from jepa_coffea.constituents.record import LayoutError
from jepa_coffea.errors import BadFileError
from training.config import ConfigError, RunConfig, write_config
from training.loop.checkpoint import BEST, CheckpointError, Checkpoints
from training.loop.distributed import Ranks
from training.loop.loop import Outcome
from training.loop.monitors import JOURNAL
from training.loop.signals import INTERRUPTED
from training.loop.state import TrainingError, no_memory
from training.objectives.base import ObjectiveError

EXPLAINED = (BadFileError, CheckpointError, ConfigError, LayoutError, ObjectiveError, TrainingError)
"""Errors that say all a user needs to know; anything else is a fault of the program and keeps its traceback."""


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Options of every script that trains."""
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="run folder to write")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="e.g. steps=3000 optimiser.lr=1e-3")
    parser.add_argument("--max-minutes", type=float, metavar="M", help="length of the training; its schedules end then")
    add_device_option(parser)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """``--device`` of every script."""
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))


def explained(main: Callable[[], int]) -> int:
    """Exit status of ``main``; what is wrong with the user's files or settings is a message and status 2."""
    try:
        return main()
    except EXPLAINED as error:
        message = str(error)
    except (MemoryError, RuntimeError) as error:
        if not no_memory(error):
            raise
        message = f"out of memory ({str(error).splitlines()[0]}); lower data.batch_size or data.window"
    Console(stderr=True).print(f"error: {message}", style="red", highlight=False, markup=False, soft_wrap=True)
    return 2


def status_of(outcome: Outcome, folder: Path, ranks: Ranks) -> int:
    """Exit status of a run, with a last line about it."""
    if ranks.first and outcome.interrupted:
        print(f"{outcome.interrupted} at step {outcome.step}: saved; --resume auto goes on", file=sys.stderr)
    elif ranks.first:
        print(f"done after {outcome.step} steps: {folder}", file=sys.stderr)
    return INTERRUPTED if outcome.interrupted else 0


def open_run(folder: Path, resume: str | None, config: RunConfig, ranks: Ranks) -> Path | None:
    """Make ready the run folder; gives the checkpoint to go on from, None for a new run.

    ``resume`` is None (a new run, in a folder that holds none), ``auto`` (the newest checkpoint in ``folder``, a new
    run when there is none), or a checkpoint file.

    Raises
    ------
    CheckpointError
        If a new run is asked for in a folder that has one, or the file to resume from is missing.
    """
    existing = Checkpoints(folder, config.keep_checkpoints).all()
    start = existing[-1] if resume == "auto" and existing else None
    if resume not in (None, "auto"):
        start = Path(str(resume))
        if not start.is_file():
            msg = f"--resume {start}: no such checkpoint"
            raise CheckpointError(msg)
    if resume is None and existing:
        msg = f"{folder} already holds a run (up to {existing[-1].name}); give --resume auto or another --output"
        raise CheckpointError(msg)
    ranks.barrier()
    if ranks.first:
        folder.mkdir(parents=True, exist_ok=True)
        if not existing:
            for left in (folder / JOURNAL, folder / BEST):
                left.unlink(missing_ok=True)
        write_config(config, folder / "config.yaml")
    ranks.barrier()
    return start
