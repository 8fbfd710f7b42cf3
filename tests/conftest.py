"""What every test may ask for."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real event files that are too large for the repository; beside the checkout where there is one."""
    folder = Path(os.environ.get("JEPA_COFFEA_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real event files in {folder}; set JEPA_COFFEA_DATA")
    return folder
