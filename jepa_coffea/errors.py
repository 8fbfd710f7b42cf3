"""The base class of all errors that this project raises on purpose."""


class JepaCoffeaError(Exception):
    """A mistake or a fault that its message explains: what was expected, what was got, what to do.

    Commands show it in one line; anything else that is raised is a bug, with a traceback. Each error also derives from
    the built-in exception that it is a case of, so that ``except ValueError`` goes on working.
    """


class BadFileError(JepaCoffeaError, ValueError):
    """Files that do not exist, cannot be opened, or do not hold what they should."""


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
