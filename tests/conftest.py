"""What every test may ask for."""

from pathlib import Path

import pytest

from tests.support.event_files import real_folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real event files, for tests that know what is in them."""
    folder = real_folder()
    assert folder is not None
    return folder


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests of numbers in real files where there are none; the miniatures have tests of their own."""
    if real_folder() is not None:
        return
    kept, left = [], []
    for item in items:
        (left if "shared_data" in getattr(item, "fixturenames", ()) else kept).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept
