import hist
import numpy as np
import pytest

from jepa_coffea.bumphunt import HistogramError, as_spectrum


def test_from_hist_and_arrays() -> None:
    h = hist.Hist(hist.axis.Variable([1000, 1200, 1500, 2000], name="mjj"))
    h.fill([1100, 1300, 1400, 1999, 5000, 10])
    spectrum = as_spectrum(h)
    assert spectrum.counts.tolist() == [1, 2, 1]
    again = as_spectrum(([1, 2, 1], [1000, 1200, 1500, 2000]))
    assert again.counts.tolist() == spectrum.counts.tolist()
    assert spectrum.inside((1200, 2000)).tolist() == [False, True, True]
    assert spectrum.within((1200, 1500)).edges.tolist() == [1200, 1500]
    assert spectrum.total((1200, 2000)) == 3


def test_weighted_hist_of_ones_is_counts_and_others_are_not() -> None:
    h = hist.Hist(hist.axis.Regular(3, 0, 3), storage=hist.storage.Weight())
    h.fill([0.5, 1.5])
    assert as_spectrum(h).counts.tolist() == [1, 1, 0]
    h.fill([0.5], weight=0.3)
    with pytest.raises(HistogramError, match="weighted"):
        as_spectrum(h)


@pytest.mark.parametrize(
    ("counts", "edges", "message"),
    [
        ([1, 2], [0, 2, 1], "edge 2 is 1 after 2"),
        ([1, 2], [0, 1, 1], "rise strictly"),
        ([1, 2], [0, 1, np.nan], "rise strictly"),
        ([1, 2, 3], [0, 1, 2], "need 2 counts"),
        ([1, -2], [0, 1, 2], r"bin 1 \(1 to 2\) holds -2"),
        ([1, np.nan], [0, 1, 2], "finite"),
        ([], [1], "at least two"),
    ],
)
def test_refuses(counts: list[float], edges: list[float], message: str) -> None:
    with pytest.raises(HistogramError, match=message):
        as_spectrum((counts, edges))


def test_refuses_windows_between_edges() -> None:
    spectrum = as_spectrum((np.ones(4), np.arange(5.0)))
    with pytest.raises(HistogramError, match=r"1\.4 is no bin edge \(the nearest is 1\)"):
        spectrum.inside((1.4, 3))
    with pytest.raises(HistogramError, match="low < high"):
        spectrum.inside((3, 1))


def test_refuses_two_axes() -> None:
    h = hist.Hist(hist.axis.Regular(3, 0, 3, name="a"), hist.axis.Regular(3, 0, 3, name="b"))
    with pytest.raises(HistogramError, match="Project"):
        as_spectrum(h)
