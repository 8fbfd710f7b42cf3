"""Workers look at themselves rarely and keep small blocks of memory, unless the user's configuration says otherwise."""

import subprocess
import sys
from pathlib import Path

import dask
import pytest

from jepa_coffea import clusters
from jepa_coffea.clusters.settings import CAPS, INTERVALS, MALLOC, exports, settings

TICK = "distributed.admin.tick.interval"

SHOW = f"""
import os, dask, distributed
for key in {list(INTERVALS)}: print(dask.config.get(key))
for name in {[*MALLOC, *CAPS]}: print(os.environ[name])
""".replace("'", '"')


def test_every_setting_differs_from_the_default_of_dask() -> None:
    found = settings()
    assert set(INTERVALS) < set(found)
    assert len(found) == len(INTERVALS) + len(MALLOC)
    assert all(dask.config.get(key, None) != value for key, value in found.items())


def test_the_user_decides() -> None:
    with dask.config.set({TICK: "77ms"}):
        assert TICK not in settings()
        assert "TICK" not in "".join(exports())


def test_a_shell_sets_the_same() -> None:
    script = "\n".join([*exports(), f"{sys.executable} -c '{SHOW}'"])
    found = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert found == [*INTERVALS.values(), *MALLOC.values(), *CAPS.values()]


@pytest.mark.parametrize("chosen", [None, "150ms"])
def test_on_a_worker(chosen: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is in the environment wins over Dask's configuration, and Dask puts there what it started workers with.
    for name in MALLOC:
        monkeypatch.delenv(name, raising=False)
    with dask.config.set({TICK: chosen} if chosen else {}), clusters.local(1) as client:
        (found,) = client.run(_seen).values()
    assert found == {**INTERVALS, TICK: chosen or INTERVALS[TICK]} | MALLOC
    assert dask.config.get(TICK) == "20ms"


def _seen() -> dict[str, str]:
    environ = Path("/proc/self/environ").read_text()  # as it was when the process began
    begin = dict(entry.split("=", 1) for entry in environ.split("\0") if "=" in entry)
    return {key: dask.config.get(key) for key in INTERVALS} | {name: begin[name] for name in MALLOC}


def _fails() -> None:
    msg = "no"
    raise ValueError(msg)


def test_a_failed_task_is_said_by_the_client_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with clusters.local(1) as client, pytest.raises(ValueError, match="no"):
        client.submit(_fails).result()
    assert "Traceback" not in capfd.readouterr().err
