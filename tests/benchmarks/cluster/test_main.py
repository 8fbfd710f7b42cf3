from pathlib import Path

import numpy as np
import uproot

from benchmarks.cluster.__main__ import copied


def test_a_copy_is_another_file_with_the_same_events(tmp_path: Path) -> None:
    first = tmp_path / "a.root"
    with uproot.recreate(first) as file:
        file["Events"] = {"x": np.arange(5)}
    second = copied(first, tmp_path / "b.root")
    with uproot.open(first) as one, uproot.open(second) as other:
        assert one.file.uuid != other.file.uuid
        assert other["Events"]["x"].array(library="np").tolist() == list(range(5))
