"""One step of a hunt after another: a step that fails is left out and said, and all the rest stands."""

import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
from distributed.comm import CommClosedError
from rich.markup import escape

from jepa_coffea.clusters.client import ClusterError
from jepa_coffea.errors import JepaCoffeaError, StorageError
from jepa_coffea.files import storage_problem, writing
from jepa_coffea.hunt.blinding import HIDDEN, without_counts
from jepa_coffea.hunt.state import Run

T = TypeVar("T")
U = TypeVar("U")

FAULTS = (JepaCoffeaError, ArithmeticError, np.linalg.LinAlgError)
"""What the data may make a step fail with; anything else is a bug of the program."""

LOST = (ConnectionError, TimeoutError, CommClosedError)
"""What Dask raises, or gives as the cause, when the cluster does not answer."""

ERROR_LOG = "errors.log"
"""Where the folder keeps the tracebacks of bugs; while the hunt is blind in ``HIDDEN`` below it."""


def step(run: Run, name: str, work: Callable[[], T], instead: Callable[[str], U], *, reason: str = "") -> T | U:
    """Do a step of a hunt whose input is read and checked; without it the hunt goes on.

    Parameters
    ----------
    run
        The hunt.
    name
        Of the step, for the error log.
    work
        The step.
    instead
        Makes of the problem, in a line, what stands in for the result.
    reason
        What is missing then, as a clause: with the problem it is a reason against the result. Without one the stand-in
        says the problem itself.

    Returns
    -------
    T or U
        Of the step, or of ``instead``.

    Raises
    ------
    Exception
        If the disk, the cluster or the reader of the output is gone: what is finished is kept, and the same hunt goes
        on from there.
    """
    try:
        return work()
    except Exception as error:
        if _ends(run, error):
            raise
        problem = _problem(run, name, error)
    if reason:
        run.failed.append(f"{reason}: {problem}")
    return instead(problem)


def _ends(run: Run, error: Exception) -> bool:
    """Whether nothing else could be done either."""
    if run.client is not None and (isinstance(error, LOST) or isinstance(error.__cause__, LOST)):
        return True
    if isinstance(error, OSError):
        return isinstance(error, BrokenPipeError) or storage_problem(error, None) is not None
    return isinstance(error, (StorageError, ClusterError, CancelledError))


def _problem(run: Run, name: str, error: Exception) -> str:
    """Why a step was left out, in a line; the traceback of a bug goes to the folder's error log."""
    blind = run.config.blind
    if isinstance(error, FAULTS):
        problem = str(error) or type(error).__name__
        return without_counts(problem) if blind else problem
    where = f"{HIDDEN}/{ERROR_LOG}" if blind else ERROR_LOG
    with writing(run.output / where), (run.output / where).open("a") as log:
        log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {name}\n")
        log.writelines(traceback.format_exception(error))
    kind = type(error).__name__
    what = kind if blind else f"{kind}: {error}"  # which may tell what was counted
    line = f"a bug ({what}); its traceback is in {where}, please report it"
    run.say(f"[red]{name}: {escape(line)}[/]")
    return line
