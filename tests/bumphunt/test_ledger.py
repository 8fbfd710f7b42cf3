import math
from pathlib import Path

import pytest

from jepa_coffea.bumphunt.ledger import Ledger
from jepa_coffea.errors import BadFileError, StorageError


def test_keeps_results_over_runs(tmp_path: Path) -> None:
    path = tmp_path / "new" / "work.jsonl"
    ledger = Ledger(path)
    ledger.add("a", [1.5, float("nan"), float("inf")])
    ledger.add("b", {"z": 2})
    again = Ledger(path)
    assert "a" in again
    assert "c" not in again
    assert again["b"] == {"z": 2}
    assert again["a"][0] == 1.5
    assert math.isnan(again["a"][1])
    assert math.isinf(again["a"][2])


def test_a_line_cut_short_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "work.jsonl"
    ledger = Ledger(path)
    ledger.add("a", 1)
    ledger.add("b", 2)
    path.write_text(path.read_text()[:-4])
    again = Ledger(path)
    assert "a" in again
    assert "b" not in again
    again.add("b", 3)
    assert Ledger(path)["b"] == 3


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "work.jsonl"
    ledger = Ledger(path)
    for number in range(3):
        ledger.add("abc"[number], number)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "nonsense", lines[2], ""]))
    with pytest.raises(BadFileError, match=r"line 2 .* is damaged"):
        Ledger(path)


def test_every_flipped_bit_is_found_or_done_again(tmp_path: Path) -> None:
    path = tmp_path / "work.jsonl"
    ledger = Ledger(path)
    for number in range(3):
        ledger.add("abc"[number], number)
    whole = path.read_bytes()
    for place in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            found = Ledger(path)
        except BadFileError:
            continue
        assert all("abc"[number] not in found or found["abc"[number]] == number for number in range(3))
        assert "c" not in found  # the end of the last line was hit, as by an interruption


def test_a_line_without_its_end(tmp_path: Path) -> None:
    path = tmp_path / "work.jsonl"
    Ledger(path).add("a", 1)
    path.write_bytes(path.read_bytes()[:-1])
    Ledger(path).add("b", 2)
    assert (Ledger(path)["a"], Ledger(path)["b"]) == (1, 2)


def test_without_a_file_results_stay_in_memory() -> None:
    ledger = Ledger(None)
    ledger.add("a", 1)
    assert ledger["a"] == 1


def test_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"disk full: .*a: free"):
        Ledger(tmp_path / "a").add("1", 2.0)


def test_only_missing_tasks_are_done_and_each_is_kept_as_it_ends(tmp_path: Path) -> None:
    done = []

    def half(number: int, by: float) -> float:
        if number == 5:
            raise ValueError(number)
        done.append(number)
        return number / by

    path = tmp_path / "work.jsonl"
    ledger = Ledger(path)
    ledger.add("2 halves", 7.0)
    with pytest.raises(ValueError, match="5"):
        ledger.run(half, [1, 2, 5, 3], (2.0,), key="{} halves".format)
    assert done == [1]
    again = Ledger(path)
    assert again.run(half, [3, 2, 1, 3], (2.0,), key="{} halves".format) == [1.5, 7.0, 0.5, 1.5]
    assert done == [1, 3]  # 3 once, although it is asked for twice
    assert again["3 halves"] == 1.5
