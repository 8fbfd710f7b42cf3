"""What tells contents apart."""

from pathlib import Path

from jepa_coffea.files import digest, file_hash, write_bytes


def test_hashes(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"abc")
    assert file_hash(tmp_path / "a").startswith("ba7816bf")
    assert len({digest(1, 2), digest(2, 1), digest([1, 2]), digest({"a": 1})}) == 4
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
