import sys

import pytest

from benchmarks import products
from benchmarks.products import product_rates


def test_every_library_is_asked() -> None:
    rates = product_rates(shapes=[(64, 64, 64)], threads=1, seconds=0.1)
    assert set(rates) == {"torch", "numpy", "onnxruntime"}
    assert all(1e6 < rate < 1e14 for rate in rates.values())


def test_counts_multiplications_and_additions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_rate", lambda product, stretch: 10.0)
    assert product_rates(shapes=[(2, 3, 5), (1, 1, 1)], threads=1) == dict.fromkeys(
        ("torch", "numpy", "onnxruntime"), 10.0 * 2 * 2 * 3 * 5
    )


def test_a_library_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert set(product_rates(shapes=[(8, 8, 8)], threads=1, seconds=0.05)) == {"torch", "numpy"}


def test_only_torch_has_half_precision() -> None:
    assert set(product_rates("cpu", "bfloat16", shapes=[(8, 8, 8)], threads=1, seconds=0.05)) == {"torch"}
