"""The index of results knows every file, and every file that it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def rows() -> list[list[str]]:
    lines = (RESULTS / "README.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return cells[2:]


def named(row: list[str]) -> list[str]:
    return re.findall(r"`([^`]+)`", row[0])


def test_every_file_is_in_the_index() -> None:
    indexed = {name for row in rows() for name in named(row)}
    for path in RESULTS.rglob("*"):
        name = path.relative_to(RESULTS).as_posix()
        if path.is_file() and name != "README.md":
            assert name in indexed, f"benchmarks/results/{name} is not in benchmarks/results/README.md"


def test_every_entry_exists_or_says_what_it_waits_for() -> None:
    for row in rows():
        for name in named(row):
            assert (RESULTS / name).exists() or "waits for" in row[2], f"{name}: in the index, but no such file"


def test_every_entry_says_where_it_comes_from() -> None:
    for row in rows():
        files, command, machine, commit, quoted = row
        assert files.startswith("`")
        assert command.startswith("`")
        assert machine
        assert quoted
        assert commit or "waits for" in machine, f"{files}: no commit"


def test_what_is_quoted_stands_where_the_index_says() -> None:
    for row in rows():
        places = [place.strip() for place in row[4].split(";")]
        for place in places:
            if place.startswith("nowhere"):
                continue
            found = re.match(r'([\w./-]+\.md), "([^"]+)"', place)
            assert found, f'{row[0]}: expected FILE.md, "text", got {place}'
            file, text = found.groups()
            words = " ".join((ROOT / file).read_text().split())
            assert text in words, f"{row[0]}: {file} does not contain {text!r}"
