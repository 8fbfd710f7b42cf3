"""A step that fails is said and left out; what nothing could go on without ends the hunt."""

import errno
import io
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from distributed.comm import CommClosedError
from rich.console import Console

from jepa_coffea.clusters.client import ClusterError
from jepa_coffea.errors import FitError, SpectrumError, StorageError
from jepa_coffea.hunt.blinding import HIDDEN
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.state import Run
from jepa_coffea.hunt.steps import step


def run(folder: Path, client: object = None, *, blind: bool = False) -> Run:
    config = HuntConfig(input={"events": ["x"]}, output=folder, blind=blind)
    return Run(config, client, Console(file=io.StringIO()))


def fails(error: BaseException) -> object:
    def work() -> None:
        raise error

    return work


def test_what_works_gives_its_result(tmp_path: Path) -> None:
    one = run(tmp_path)
    assert step(one, "sum", lambda: 3, lambda problem: problem, reason="no sum") == 3
    assert one.failed == []
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_the_data_is_said_and_no_bug(tmp_path: Path) -> None:
    one = run(tmp_path)
    for error in (SpectrumError("no events"), ZeroDivisionError("no events")):
        assert step(one, "fit", fails(error), lambda problem: problem) == "no events"
    assert step(one, "fit", fails(FloatingPointError()), lambda problem: problem) == "FloatingPointError"
    assert one.failed == []  # the stand-in says it
    step(one, "fit", fails(SpectrumError("no events")), lambda _: None, reason="there is no fit")
    assert one.failed == ["there is no fit: no events"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError("[x]"), MemoryError("[x]"), OSError("[x]"), ImportError("[x]")])
def test_a_bug_is_a_line_and_a_traceback_in_the_log(tmp_path: Path, error: Exception) -> None:
    one = run(tmp_path)
    kind = type(error).__name__
    problem = step(one, "fit", fails(error), lambda problem: problem, reason="there is no fit")
    assert problem == f"a bug ({kind}: [x]); its traceback is in errors.log, please report it"
    assert one.failed == [f"there is no fit: {problem}"]
    assert f"{kind}: [x]" in one.console.file.getvalue()
    log = (tmp_path / "errors.log").read_text()
    assert " fit\nTraceback" in log
    assert "in work" in log


def test_a_bug_of_a_blind_hunt_tells_no_number(tmp_path: Path) -> None:
    problem = step(run(tmp_path, blind=True), "fit", fails(KeyError(4711)), lambda problem: problem)
    assert problem == f"a bug (KeyError); its traceback is in {HIDDEN}/errors.log, please report it"
    assert [path.name for path in tmp_path.iterdir()] == [HIDDEN]
    assert "KeyError: 4711" in (tmp_path / HIDDEN / "errors.log").read_text()


def test_a_fault_in_a_blind_hunt_tells_no_count(tmp_path: Path) -> None:
    one, error = run(tmp_path, blind=True), FitError("the fit of dijet3 on 25 bins with 4711 events did not converge")
    assert step(one, "fit", fails(error), lambda problem: problem, reason="there is no fit") == (
        "the fit of dijet3 on 25 bins with N events did not converge"
    )
    assert one.failed == ["there is no fit: the fit of dijet3 on 25 bins with N events did not converge"]


def timed_out() -> OSError:
    """As Dask raises it."""
    error = OSError("Timed out trying to connect to tcp://x after 30 s")
    error.__cause__ = CommClosedError("refused")
    return error


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "no", "font.ttf"), OSError("cannot open resource")])
def test_a_file_that_is_missing_is_no_lost_cluster(tmp_path: Path, error: OSError) -> None:
    one = run(tmp_path, object())
    step(one, "exports", fails(error), lambda _: None, reason="the exports are not complete")
    assert one.failed[0].startswith(f"the exports are not complete: a bug ({type(error).__name__}: ")


@pytest.mark.parametrize(
    ("error", "client"),
    [
        (StorageError("disk full"), None),
        (OSError(errno.ENOSPC, "no space"), None),
        (BrokenPipeError(), None),
        (ClusterError("gone"), None),
        (CancelledError(), object()),
        (CommClosedError("closed"), object()),
        (ConnectionResetError(), object()),
        (TimeoutError(), object()),
        (timed_out(), object()),
        (OSError(errno.ENOSPC, "no space"), object()),
        (KeyboardInterrupt(), None),
    ],
)
def test_without_disk_cluster_or_reader_nothing_goes_on(tmp_path: Path, error: BaseException, client: object) -> None:
    one = run(tmp_path, client)
    with pytest.raises(type(error)):
        step(one, "fit", fails(error), lambda _: None, reason="there is no fit")
    assert one.failed == []
    assert not (tmp_path / "errors.log").exists()
