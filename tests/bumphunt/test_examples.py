"""The examples in the docstrings of the statistics give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import jepa_coffea.bumphunt

NAMES = [module.name for module in pkgutil.walk_packages(jepa_coffea.bumphunt.__path__, "jepa_coffea.bumphunt.")]


@pytest.mark.parametrize("name", NAMES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_examples_where_a_user_starts() -> None:
    finder = doctest.DocTestFinder()
    for function in ("counting_significance", "fit_background", "scan", "counting_limit", "function_uncertainty"):
        assert any(test.examples for test in finder.find(getattr(jepa_coffea.bumphunt, function), function))
