"""What the entry scripts share: options, errors in one line, run folders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from jepa_coffea.errors import FolderError, JepaCoffeaError, StorageError
from jepa_coffea.files import storage_problem
from jepa_coffea.files.folders import working_in
from training.config import RunConfig
from training.loop.checkpoint import BEST, CheckpointError, Checkpoints
from training.loop.distributed import STOPPED, Ranks
from training.loop.loop import Outcome
from training.loop.metrics_log import METRICS
from training.loop.state import no_memory

USERS_FAULT, INTERRUPTED = 2, 130
"""Exit statuses: for what the user has to mend, and after Ctrl-C (128 + SIGINT)."""


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every script that trains.

    Parameters
    ----------
    parser
        Gets the options.
    """
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="run folder to write")
    parser.add_argument("--resume", metavar="auto|FILE", help="go on from the newest checkpoint of the run, or a file")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="e.g. steps=3000 optimiser.lr=1e-3")
    parser.add_argument("--max-minutes", type=float, metavar="M", help="length of the training; its schedules end then")
    add_device_option(parser)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``.

    Parameters
    ----------
    parser
        Gets the option.
    """
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to train")


def explained(main: Callable[[], int]) -> int:
    """Run a script; what is wrong with the user's files or settings is a message, not a traceback.

    Parameters
    ----------
    main
        Does the work, and gives its exit status.

    Returns
    -------
    int
        Status of ``main``; 2 for what the user has to mend, 130 after Ctrl-C.
    """
    try:
        return main()
    except JepaCoffeaError as error:
        message = str(error)
    except KeyboardInterrupt:
        print("interrupted by Ctrl-C; nothing half-written was kept", file=sys.stderr)
        return INTERRUPTED
    except (MemoryError, RuntimeError) as error:
        if not no_memory(error):
            raise
        message = f"out of memory ({str(error).splitlines()[0]}); lower data.batch_size or data.window"
    except OSError as error:
        problem = storage_problem(error, Path(error.filename) if error.filename else None)
        if problem is None:
            raise
        message = problem
    Console(stderr=True).print(f"error: {message}", style="red", highlight=False, markup=False, soft_wrap=True)
    return USERS_FAULT


def status_of(outcome: Outcome, folder: Path, ranks: Ranks) -> int:
    """Exit status of a run, with a last line about it.

    Parameters
    ----------
    outcome
        How the run ended.
    folder
        The run folder.
    ranks
        The processes; the first one speaks.

    Returns
    -------
    int
        0 when the training is complete, 130 after Ctrl-C, 75 after another signal.
    """
    if ranks.first and outcome.interrupted:
        print(f"{outcome.interrupted} at step {outcome.step}: saved; --resume auto goes on", file=sys.stderr)
    elif ranks.first:
        print(f"done after {outcome.step} steps: {folder}", file=sys.stderr)
    if outcome.interrupted == "SIGINT":
        return INTERRUPTED
    return STOPPED if outcome.interrupted else 0


@contextmanager
def run_folder(folder: Path, resume: str | None, config: RunConfig, ranks: Ranks) -> Iterator[Path | None]:
    """Have a run folder, and keep other trainings out of it.

    Parameters
    ----------
    folder
        The run folder; it is made.
    resume
        None (a new run, in a folder that holds none), ``auto`` (the newest checkpoint in ``folder``, a new run when
        there is none), or a checkpoint file.
    config
        Of the run.
    ranks
        The processes; the first one holds the lock, and all see whether it could.

    Yields
    ------
    Path or None
        The checkpoint to go on from; None for a new run.

    Raises
    ------
    CheckpointError
        If a new run is asked for in a folder that has one, the file to resume from is missing, another training is
        running in the folder, or the folder cannot be written to.
    """
    with ExitStack() as stack:
        problem = None
        if ranks.first:
            try:
                stack.enter_context(working_in(folder, "training", among_others=True))
            except (FolderError, StorageError) as error:
                problem = str(error)
        problem = ranks.gather(problem)[0]
        if problem:
            raise CheckpointError(problem)
        start, existing = _start_of(folder, resume, config)
        ranks.barrier()
        if ranks.first and not existing:
            for left in (folder / METRICS, folder / BEST):
                left.unlink(missing_ok=True)
        ranks.barrier()
        yield start


def _start_of(folder: Path, resume: str | None, config: RunConfig) -> tuple[Path | None, bool]:
    """The checkpoint to go on from, and whether the folder holds a run."""
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
    return start, bool(existing)
