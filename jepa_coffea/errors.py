"""The base class of all errors that this project raises on purpose."""


class JepaCoffeaError(Exception):
    """A mistake or a fault that its message explains: what was expected, what was got, what to do.

    Commands show it in one line; anything else that is raised is a bug, with a traceback. Each error also derives from
    the built-in exception that it is a case of, so that ``except ValueError`` goes on working.
    """


class BadFileError(JepaCoffeaError, ValueError):
    """Files that do not exist, cannot be opened, or do not hold what they should."""


class HistogramError(JepaCoffeaError, ValueError):
    """Counts, edges or windows that no fit can use: wrong shape, order, sign, or nothing in them."""


class FitError(JepaCoffeaError, RuntimeError):
    """A fit whose result may not be used: it did not converge, or the data do not determine it."""
