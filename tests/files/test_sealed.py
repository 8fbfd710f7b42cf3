"""Every flipped bit of what is sealed is found."""

from pathlib import Path

import pytest

from jepa_coffea.errors import BadFileError
from jepa_coffea.files import read_sealed, sealed_line, unsealed_line, write_sealed


def test_every_flipped_bit_of_a_sealed_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_sealed(path, b"content")
    assert read_sealed(path) == b"content"
    whole = path.read_bytes()
    for place in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(BadFileError, match="is damaged"):
            read_sealed(path)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(BadFileError, match="is damaged"):
            read_sealed(path)
    with pytest.raises(FileNotFoundError):
        read_sealed(tmp_path / "none")


def test_sealed_lines() -> None:
    line = sealed_line('["key", 1.5]')
    assert unsealed_line(line, "a:1") == '["key", 1.5]'
    for place in range(len(line)):
        with pytest.raises(BadFileError, match="a:1 is damaged"):
            unsealed_line(line[:place] + chr(ord(line[place]) ^ 1) + line[place + 1 :], "a:1")
    with pytest.raises(BadFileError):
        unsealed_line("", "a:1")
