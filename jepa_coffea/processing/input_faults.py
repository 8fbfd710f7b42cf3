"""Faults of input files, told from all other errors: only what reading an input raises may ever be skipped."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uproot
from coffea.processor.executor import WorkItem

from jepa_coffea.constituents.record import LayoutError, UnreadableError
from jepa_coffea.errors import JepaCoffeaError

OPENING = "Failed to open file"
MAKING = "Failed creating nanoevents"
"""How the messages of coffea begin when a file cannot be opened, or its events not be set up."""

OWN_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of opening a file that are not the file's: too many are open, or there is no memory."""

STAMP = "filestamp"
"""Entry of a chunk's metadata: size and time of its file at the first look, where that is a local file."""


class ChangedFileError(JepaCoffeaError, RuntimeError):
    """A file that is another one than at the first look; never skipped."""


class Guarded:
    """coffea's function of a chunk, with faults of its input told from all other errors.

    Parameters
    ----------
    function
        Takes what an executor hands out, gives the output of a chunk.
    skip
        Give an output ``skipped`` (place to reason) for a chunk that cannot be read, instead of raising.
    """

    def __init__(self, function: Callable[[Any], Any], *, skip: bool) -> None:
        self.function = function
        self.skip = skip

    def __call__(self, item: Any) -> Any:
        """The output of a chunk.

        Parameters
        ----------
        item
            A chunk; on a cluster, together with the processor.

        Returns
        -------
        dict
            coffea's, with ``out`` and ``processed``.

        Raises
        ------
        UnreadableError
            If the chunk cannot be read and must not be skipped.
        ChangedFileError
            If its file was replaced.
        LayoutError
            If the schema cannot make events of the file; never skipped.
        JepaCoffeaError
            Any error of this project, with file and events in front.
        """
        chunk = item[0] if isinstance(item, tuple) else item
        where = f"{chunk.filename}, events {chunk.entrystart} to {chunk.entrystop}"
        try:
            require_same(chunk)
            output = self.function(item)
            require_same(chunk)
        except Exception as error:
            reason = reading_problem(error)
            if reason is not None and self.skip:
                return {"out": {"skipped": {place(chunk): reason}}, "processed": {chunk}}
            if reason is not None:
                msg = f"{where}: {reason}"
                raise UnreadableError(msg) from None
            known = next((one for one in _chain(error) if isinstance(one, JepaCoffeaError)), None)
            if known is None and str(error).startswith(MAKING):
                cause = [*_chain(error)][-1]
                reason = f"{type(cause).__name__}: {cause}"
                msg = f"{where}: its schema finds no events in it ({reason}); is it of this format?"
                raise LayoutError(msg) from error
            if known is None:
                raise
            raise _with_place(known, where) from None
        return output


def place(chunk: WorkItem) -> str:
    """File and entries of a chunk.

    Parameters
    ----------
    chunk
        Of coffea.

    Returns
    -------
    str
        ``FILE:START-STOP``.
    """
    return f"{chunk.filename}:{chunk.entrystart}-{chunk.entrystop}"


def reading_problem(error: BaseException) -> str | None:
    """What is wrong with the input, if that is what an error says.

    Parameters
    ----------
    error
        What coffea raised for a chunk.

    Returns
    -------
    str or None
        None for an error of writing, of the model, of the user's code, of the machine.
    """
    chain = list(_chain(error))
    ours = next((one for one in chain if isinstance(one, JepaCoffeaError)), None)
    if ours is not None:
        return str(ours) if isinstance(ours, UnreadableError) else None
    cause = chain[-1]
    if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno in OWN_LIMITS):
        return None
    text = f"{type(cause).__name__}: {str(cause).strip()}"
    if str(error).startswith(OPENING):
        return text
    frames = {name for one in chain for name in _modules(one)}
    if str(error).startswith(MAKING):
        return text if any(name.startswith(("uproot", "coffea.nanoevents.mapping")) for name in frames) else None
    return text if any(name.startswith("coffea.nanoevents.mapping") for name in frames) else None


def stamp(name: str) -> str:
    """Size and time of a local file.

    Parameters
    ----------
    name
        Path or URL.

    Returns
    -------
    str
        Empty for a URL, and for a file that is not there.
    """
    if "://" in name:
        return ""
    try:
        found = Path(name).stat()
    except OSError:
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}"


def require_same(chunk: WorkItem) -> None:
    """Raise if the file of a chunk was replaced since the first look.

    Parameters
    ----------
    chunk
        Of :func:`jepa_coffea.processing.filesets.plan_chunks`.

    Raises
    ------
    ChangedFileError
        If a local file has another size or time, or a remote one another UUID.
    """
    before = str((chunk.usermeta or {}).get(STAMP, ""))
    if before:
        now = stamp(chunk.filename)
        changed = bool(now) and now != before
    elif "://" in chunk.filename:
        with uproot.open({chunk.filename: None}) as source:
            changed = source.file.fUUID != chunk.fileuuid
    else:
        changed = False
    if changed:
        msg = "the file was replaced or written to since this run first looked at it; run again when nobody writes it"
        raise ChangedFileError(msg)


def _with_place(error: JepaCoffeaError, where: str) -> JepaCoffeaError:
    text = f"{where}: {error}"
    try:
        return type(error)(text)
    except TypeError:  # a class of a user's, with arguments of its own
        return JepaCoffeaError(text)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _modules(error: BaseException) -> Iterator[str]:
    """Names of the modules that an error went through."""
    trace = error.__traceback__
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
