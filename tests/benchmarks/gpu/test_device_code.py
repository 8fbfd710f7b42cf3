"""Device code of one architecture, in a library made by hand, and the wheel around it."""

import struct
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu.device_code import CONTAINER, MAGIC, containers, keep_architecture
from benchmarks.gpu.wheels import for_one_gpu, repack


def entry(architecture: int, code: bytes) -> bytes:
    header = struct.pack("<HHIQ", 2, 0x101, 64, len(code)).ljust(28, b"\0")
    return (header + struct.pack("<I", architecture)).ljust(64, b"\0") + code


def container(*entries: bytes) -> bytes:
    body = b"".join(entries)
    return CONTAINER.pack(struct.unpack("<I", MAGIC)[0], 1, 16, len(body)) + body


COMMON = container(entry(75, b"a" * 8), entry(90, b"b" * 24), entry(120, b"c" * 16))
ATTENTION = container(entry(80, b"d" * 8), entry(90, b"e" * 8))
HOPPER = container(entry(90, b"f" * 96))
LIBRARY = b"host code" + COMMON + MAGIC + b"no container" + ATTENTION + b"more" + HOPPER + b"end"


def test_finds_containers_and_nothing_else() -> None:
    found = {place: [(one.architecture, one.code) for one in entries] for place, entries in containers(LIBRARY)}
    assert list(found.values()) == [[(75, 8), (90, 24), (120, 16)], [(80, 8), (90, 8)], [(90, 96)]]
    assert all(LIBRARY[place : place + 4] == MAGIC for place in found)


def test_keeps_common_code_of_one_architecture() -> None:
    library = bytearray(LIBRARY)
    assert keep_architecture(library, 90) == 24
    assert len(library) == len(LIBRARY)
    left = [[(one.architecture, one.code) for one in entries] for _, entries in containers(library)]
    # Instead of what is special stands a small kernel for another GPU: a driver finds nothing to load there.
    assert left == [[(90, 24)], [(75, 8)], [(75, 8)]]
    assert b"b" * 24 in library
    assert not any(letter * 8 in library for letter in (b"c", b"d", b"e", b"f"))
    for text in (b"host code", b"no container", b"more", b"end"):
        assert text in library


def test_an_architecture_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no common device code for architecture 70; the library has some for"):
        keep_architecture(bytearray(LIBRARY), 70)


def test_a_wheel_packed_anew_installs_like_the_old_one(tmp_path: Path) -> None:
    wheel = tmp_path / "a-1.0-py3-none-any.whl"
    name = "a/libonnxruntime_providers_cuda.so"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/__init__.py", "value = 1\n")
        archive.writestr("a/manual.html", "long " * 1000)
        archive.writestr(name, LIBRARY)
        archive.writestr("a-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: a\nVersion: 1.0\n")
        archive.writestr("a-1.0.dist-info/RECORD", "")
    repack(wheel, ("manual",), for_one_gpu(90))
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {
            "a/__init__.py",
            name,
            "a-1.0.dist-info/METADATA",
            "a-1.0.dist-info/RECORD",
        }
        assert archive.read("a/__init__.py") == b"value = 1\n"
        assert len(archive.read(name)) == len(LIBRARY)
        assert b"c" * 16 not in archive.read(name)
        record = archive.read("a-1.0.dist-info/RECORD").decode()
    assert "a/__init__.py,sha256=" in record
    assert "manual" not in record
