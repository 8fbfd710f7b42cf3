"""The two ways a bump hunt refuses to answer."""


class HistogramError(ValueError):
    """Counts, edges or windows that no fit can use: wrong shape, order, sign, or nothing in them."""


class FitError(RuntimeError):
    """A fit whose result may not be used: it did not converge, or the data do not determine it."""
