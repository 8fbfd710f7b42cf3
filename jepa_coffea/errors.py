"""The base class of all errors that this project raises on purpose, and the word that was meant by a wrong one."""

import difflib
from collections.abc import Iterable


class JepaCoffeaError(Exception):
    """A mistake or a fault that its message explains: what was expected, what was got, what to do.

    Commands show it in one line; anything else that is raised is a bug, with a traceback. Each error also derives from
    the built-in exception that it is a case of, so that ``except ValueError`` goes on working.
    """


class BadFileError(JepaCoffeaError, ValueError):
    """Files that do not exist, cannot be opened, or do not hold what they should."""


class ModelError(JepaCoffeaError, ValueError):
    """A file that is no usable model; never an OSError, so that no reader of events may skip it."""


class StorageError(JepaCoffeaError, RuntimeError):
    """A disk that is full or must not be written; never an OSError, so that no reader of events may skip it."""


class FolderError(JepaCoffeaError, RuntimeError):
    """A folder that is in use, or holds something else than what is about to be written."""


class SpectrumError(JepaCoffeaError):
    """A spectrum from which no background, significance or limit can be had."""


class HistogramError(SpectrumError, ValueError):
    """Counts, edges or windows that no fit can use: wrong shape, order, sign, or nothing in them."""


class FitError(SpectrumError, RuntimeError):
    """A fit whose result may not be used: it did not converge, or the data do not determine it."""


OTHER_WORDS = {"gpu": "cuda", "trt": "tensorrt", "ak8": "FatJet", "ak4": "Jet"}
"""What people say, to what it is called here; these letters are far apart."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was meant.

    Parameters
    ----------
    word
        What was given.
    known
        What could have been.

    Returns
    -------
    str or None
        None where none is close; large and small letters, ``-`` and ``_`` count as the same.
    """
    plain = {name.lower().replace("_", "-"): name for name in sorted(known)}
    meant = OTHER_WORDS.get(word.lower())
    if meant is not None and meant in plain.values():
        return meant
    close = difflib.get_close_matches(word.lower().replace("_", "-"), plain, n=1)
    return plain[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to say of a word that is not among those that are known.

    Parameters
    ----------
    word
        What was given.
    known
        What could have been.

    Returns
    -------
    str
        ``did you mean 'model'?``, or the known words where none is close.
    """
    names = sorted(known)
    meant = closest(word, names)
    return f"did you mean {meant!r}?" if meant else f"known are {', '.join(names) or 'none'}"
