"""Files that appear whole or not at all."""

import errno
from pathlib import Path

import pytest

from jepa_coffea.errors import StorageError
from jepa_coffea.files import replacing, write_text


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "one")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("tw")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_text() == "one"
    assert [found.name for found in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, r"disk full: .*a: free [\d.]+ MB, needed at least 2.5 kB"),
        (errno.EFBIG, "a cannot be written: it is larger than files may be here; see `ulimit -f`"),
        (errno.EDQUOT, "disk full"),
        (errno.EROFS, "cannot be written"),
        (errno.EACCES, "cannot be written"),
    ],
)
def test_disks_that_do_not_take_it(tmp_path: Path, code: int, words: str) -> None:
    with pytest.raises(StorageError, match=words), replacing(tmp_path / "a", 2500):
        raise OSError(code, "reason")
    assert not list(tmp_path.iterdir())


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        raise FileNotFoundError(errno.ENOENT, "reason")
