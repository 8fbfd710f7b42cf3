"""Pictures are drawn of the spectrum with known truth that the fits are tested on."""

from tests.bumphunt.conftest import truth

__all__ = ["truth"]
