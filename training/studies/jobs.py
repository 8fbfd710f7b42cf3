"""The trainings of a study: the project's own scripts, which a study that was killed starts again where they stopped.

A script that ended leaves ``<script>.status.json`` in the folder that it filled, as in
``study/jepa/pretrain.status.json``: ``{"status": 0, "processor_minutes": 61.5}``. With status 0 it is not run again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import torch
from rich.console import Console

from jepa_coffea.errors import JepaCoffeaError
from jepa_coffea.files import write_text
from jepa_coffea.progress import Bar

ROOT = Path(__file__).resolve().parents[2]
LOOK_SECONDS = 1.0
"""Between two looks at the scripts that run."""


class StudyError(JepaCoffeaError, RuntimeError):
    """A study that cannot go on; the message says why."""


@dataclass(frozen=True)
class Job:
    """One call of a script of the project."""

    script: str
    """Its name, as in ``finetune``."""
    folders: tuple[Path, ...]
    """What it fills."""
    arguments: tuple[object, ...]
    room: str = "training"
    """Folder of the script."""

    @property
    def words(self) -> list[str]:
        """Its command line.

        Returns
        -------
        list of str
        """
        return [str(argument) for argument in self.arguments]


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs scripts in processes of their own, several at a time."""

    output: Path
    """Folder of what they make; their logs go there, too."""
    jobs: int
    """Scripts at a time."""
    device: str
    """``auto``, ``cpu`` or ``cuda``."""

    @property
    def on_cpu(self) -> bool:
        """Whether trainings run on the CPU.

        Returns
        -------
        bool
        """
        return self.device == "cpu" or not torch.cuda.is_available()

    @property
    def threads(self) -> int:
        """Threads of each training.

        Returns
        -------
        int
        """
        return int(os.environ.get("OMP_NUM_THREADS") or max(1, (os.cpu_count() or 1) // self.jobs))

    def run(self, job: Job, failed: Event) -> None:
        """Run a script, with its output in a log beside the results, and keep how it ended.

        Parameters
        ----------
        job
            What to run.
        failed
            Set when a script has failed; then nothing is started any more.

        Raises
        ------
        StudyError
            If it fails, with the end of its log.
        """
        if failed.is_set():
            return
        command = [sys.executable, str(ROOT / job.room / f"{job.script}.py"), *job.words, "--device", self.device]
        log = self.output / "logs" / f"{job.script}-{time.time_ns()}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = os.environ | {"OMP_NUM_THREADS": str(self.threads), "PYTHONPATH": path}
        with log.open("w") as file:
            file.write(" ".join(command) + "\n")
            file.flush()
            process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
            _RUNNING.add(process.pid)
            _, status, used = os.wait4(process.pid, 0)
            _RUNNING.discard(process.pid)
            process.returncode = status = os.waitstatus_to_exitcode(status)
        minutes = (used.ru_utime + used.ru_stime) / 60 / len(job.folders)
        for folder in job.folders:
            _write_status(job.script, folder, status, minutes)
        if status:
            failed.set()
            tail = "\n".join(log.read_text().splitlines()[-15:])
            msg = f"{job.script}.py ended with status {status}; {log}:\n{tail}"
            raise StudyError(msg)

    def together(self, jobs: Sequence[Job]) -> None:
        """Run what is not finished of several scripts, as many at a time as the study says.

        Parameters
        ----------
        jobs
            What to run.

        Raises
        ------
        StudyError
            If one fails.
        """
        left = [job for job in jobs if not all(finished(job.script, folder) for folder in job.folders)]
        if not left:
            return
        failed = Event()
        title = ", ".join(sorted({job.script for job in left}))
        with Bar(title, Console(stderr=True)) as bar, ThreadPoolExecutor(self.jobs) as pool:
            running = [pool.submit(self.run, job, failed) for job in left]
            ended = 0
            while ended < len(running):
                bar.show(ended / len(running), f"{ended} of {len(running)} done; {self._newest_line()}".strip("; "))
                wait(running, timeout=LOOK_SECONDS)
                ended = sum(done.done() for done in running)
        for done in running:
            done.result()

    def _newest_line(self) -> str:
        """What the scripts that run said last: how far the newest of them is."""
        logs = sorted((self.output / "logs").glob("*.log"), key=lambda log: log.stat().st_mtime)
        lines = logs[-1].read_text(errors="replace").splitlines()[1:] if logs else []
        return lines[-1].strip() if lines else ""


@dataclass(frozen=True, kw_only=True)
class PretrainingStudy(Runner):
    """What all steps of a study need to know."""

    data: list[str]
    """Globs of labelled jets."""
    test: list[str]
    """Globs of test jets; none for a part of ``data``."""
    config: str
    """Configuration file of the pretrainings."""
    minutes: float
    """Length of the whole study."""
    labels: int
    """Labelled jets of each class."""
    seeds: list[int]
    """Of the fine-tunings."""
    settings: list[str]
    """Changes to the configuration of the pretrainings, as ``field=value``."""
    finetune_settings: list[str]
    """Changes to that of the fine-tunings."""

    def minutes_each(self, share: float, trainings: int) -> float:
        """Minutes of one of several trainings that are alike.

        Parameters
        ----------
        share
            Part of the study that they may take together.
        trainings
            How many they are.

        Returns
        -------
        float
        """
        return share * self.minutes / -(-trainings // self.jobs)

    def classifier(self, plan: str, seed: int) -> Path:
        """Run folder of one fine-tuning.

        Parameters
        ----------
        plan
            Encoder and mode, as in ``both-freeze``.
        seed
            Of the fine-tuning.

        Returns
        -------
        Path
        """
        folder = self.output / "classifiers" / plan
        return folder / f"seed{seed}" if len(self.seeds) > 1 else folder


_RUNNING: set[int] = set()
"""Process numbers of the scripts that run now."""


@contextmanager
def signals_passed_on() -> Iterator[None]:
    """Within, SIGTERM ends the running scripts, which save their state; the study then ends with their error."""

    def _pass_on(number: int, frame: object) -> None:  # noqa: ARG001
        for process in list(_RUNNING):
            os.kill(process, number)

    before = signal.signal(signal.SIGTERM, _pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def read_status(script: str, folder: Path) -> dict[str, Any]:
    """How a script ended.

    Parameters
    ----------
    script
        Its name.
    folder
        What it filled.

    Returns
    -------
    dict
        ``status`` (None when it has not ended) and ``processor_minutes``.
    """
    path = folder / f"{script}.status.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return {"status": None, "processor_minutes": 0.0} | found


def finished(script: str, folder: Path) -> bool:
    """Whether a script has done all it had to do.

    Parameters
    ----------
    script
        Its name.
    folder
        What it fills.

    Returns
    -------
    bool
    """
    return bool(read_status(script, folder)["status"] == 0)


def _write_status(script: str, folder: Path, status: int, minutes: float) -> None:
    """Write how ``script`` ended; its processor ``minutes`` add up over resumed parts."""
    before = read_status(script, folder)["processor_minutes"]
    if folder.is_dir():
        content = {"status": status, "processor_minutes": before + minutes}
        write_text(folder / f"{script}.status.json", json.dumps(content) + "\n")


def keep_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Keep what decides the results of a study in ``settings.json``.

    Parameters
    ----------
    folder
        Of the study.
    settings
        What JSON can hold, by name.

    Raises
    ------
    StudyError
        If the study in this folder was begun with other settings.
    """
    path = folder / "settings.json"
    before = json.loads(path.read_text()) if path.is_file() else settings
    for name, value in settings.items():
        if value != before.get(name):
            msg = f"{path}: the study in this folder has {name} {before.get(name)}, not {value}; give another --output"
            raise StudyError(msg)
    write_text(path, json.dumps(settings, indent=1) + "\n")
