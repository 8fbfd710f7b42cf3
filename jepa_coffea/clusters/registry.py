"""The kinds of clusters by name, and the section ``cluster`` of a document, the same for embedding and for hunts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from jepa_coffea.clusters.batch import htcondor, slurm
from jepa_coffea.clusters.machine import cuda, local
from jepa_coffea.clusters.running import scheduler
from jepa_coffea.documents import LocalPath, Section
from jepa_coffea.errors import did_you_mean

SHELL = re.compile(
    r"(module (load|use|swap|unload|purge)( [\w./+@:-]+)*|conda activate [\w./-]+"
    r"|source /cvmfs/[\w./+@-]+( [\w./+@-]+)*"
    r"|export (?!LD_|DYLD_|PYTHON|PATH=|ENV=|BASH_ENV=|PERL|SHELL)[A-Za-z_]\w*=[\w./+@:,-]*)"
)
"""Lines that a document may put in front of a worker: an environment, and nothing that runs a command of its choice."""

SUBMIT = re.compile(
    r"((\+|MY\.)(?!Pre|Post|Cmd|Arg|Env)\w+|request_\w+|requirements|rank|accounting_group(_user)?|x509userproxy"
    r"|use_x509userproxy|concurrency_limits|priority|notify_user|notification|max_\w+)",
    re.IGNORECASE,
)
"""Entries of a submit description that a document may add; none of them names a program."""


def _one_line(text: str) -> str:
    if re.search(r"[\r\n`;|&<>]|\$\(", text):
        msg = f"{text!r}: expected one option in one line, without shell operators"
        raise ValueError(msg)
    return text


def _environment(line: str) -> str:
    if not SHELL.fullmatch(line.strip()):
        msg = (
            f"{line!r}: a document may say `module load NAME`, `conda activate NAME`, `source /cvmfs/...` and "
            "`export NAME=value`; for other commands start the cluster in Python, with jepa_coffea.clusters"
        )
        raise ValueError(msg)
    return line.strip()


Line = Annotated[str, AfterValidator(_one_line)]
Environment = Annotated[str, AfterValidator(_environment)]
Count = Annotated[int, Field(ge=0)]


class NoOptions(Section):
    """Of ``none``, which runs everything in this process."""


class LocalOptions(Section):
    """Of :func:`jepa_coffea.clusters.local`."""

    n_workers: Annotated[int, Field(gt=0)] | None = None
    """Processes; default: the cores that this process may use."""
    memory_limit: str | int = "auto"
    """Of a worker."""


class CudaOptions(Section):
    """Of :func:`jepa_coffea.clusters.cuda`."""

    gpus: str | list[int] | None = None
    """Which, as for ``CUDA_VISIBLE_DEVICES``; default: all."""
    pool: Count = 2
    """Processes for opening files and adding up results."""
    memory_limit: str | int = "auto"
    """Of a worker."""


class BatchOptions(Section):
    """What batch systems have in common; see :func:`jepa_coffea.clusters.slurm`."""

    jobs: Count
    """Jobs that are kept running."""
    gpus: Count = 0
    """0 or 1 of a job, which then is one worker; with 0 it is a worker for each core."""
    cores: Annotated[int, Field(gt=0)] = 1
    """Of a job."""
    memory: Line = "4 GB"
    """Of a job."""
    prologue: list[Environment] = Field(default_factory=list)
    """Lines before the worker starts, such as ``module load cuda``."""
    pool: Count | None = None
    """Processes on this machine for opening files and adding up results; default: 2 with GPUs, none without."""
    interface: Line | None = None
    """Network that the submit node and the workers share."""
    log_directory: LocalPath | None = None
    """Where the batch system writes what the jobs print."""
    local_directory: Line | None = None
    """Of the workers, on their nodes."""
    worker_ports: Annotated[str, Field(pattern=r"^\d+:\d+$")] | None = None
    """Range of the workers' ports, ``10000:10100``."""
    scheduler_port: Count | None = None
    """Where a firewall leaves only some open; default: any that is free."""


class SlurmOptions(BatchOptions):
    """Of :func:`jepa_coffea.clusters.slurm`."""

    walltime: Line = "02:00:00"
    """Of a job; one that ends is replaced."""
    partition: Line | None = None
    """Queue; default: the site's."""
    account: Line | None = None
    """Whose share is charged; default: yours."""
    directives: list[Line] = Field(default_factory=list)
    """More ``#SBATCH`` options."""


class CondorOptions(BatchOptions):
    """Of :func:`jepa_coffea.clusters.htcondor`."""

    disk: Line = "2 GB"
    """Of a job."""
    directives: dict[str, Line] = Field(default_factory=dict)
    """Entries of the submit description."""

    @field_validator("directives")
    @classmethod
    def _no_programs(cls, given: dict[str, str]) -> dict[str, str]:
        strange = [name for name in given if not SUBMIT.fullmatch(name)]
        if strange:
            msg = f"{strange[0]!r}: a document may add requests, requirements, accounting and +Name entries only"
            raise ValueError(msg)
        return given


class SchedulerOptions(Section):
    """Of a scheduler that runs already."""

    address: Line
    """``tcp://host:port`` or ``tls://host:port``."""


class Kind(NamedTuple):
    """A kind of cluster."""

    options: type[Section]
    """What a document may say of it."""
    start: Callable[..., Any]
    """Gives a Dask client, from ``models=`` and the options."""


def _here(models: Iterable[str | Path]) -> AbstractContextManager[None]:  # noqa: ARG001  this process has them
    return nullcontext()


KINDS: dict[str, Kind] = {
    "none": Kind(NoOptions, _here),
    "local": Kind(LocalOptions, local),
    "cuda": Kind(CudaOptions, cuda),
    "slurm": Kind(SlurmOptions, slurm),
    "htcondor": Kind(CondorOptions, htcondor),
    "scheduler": Kind(SchedulerOptions, scheduler),
}
"""All kinds; adding one here is all that documents need."""


class ClusterConfig(Section):
    """Where to run.

    >>> with ClusterConfig(kind="local", options={"n_workers": 2}).connect() as client:
    ...     len(client.scheduler_info()["workers"])
    2
    """

    kind: str = "none"
    """``none`` (this process), ``local``, ``cuda``, ``slurm``, ``htcondor``, or ``scheduler`` for one that runs."""
    options: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    """Of that kind, such as ``{jobs: 10, gpus: 1}`` for slurm and ``{address: "tcp://host:8786"}`` for a scheduler."""

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS:
            msg = f"no cluster {kind!r}; {did_you_mean(kind, KINDS)}"
            raise ValueError(msg)
        return kind

    @field_validator("options")
    @classmethod
    def _of_that_kind(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "kind" not in info.data:
            return options
        checked = KINDS[info.data["kind"]].options.model_validate(options, context=info.context)
        return checked.model_dump(exclude_unset=True)

    def connect(self, models: Iterable[str | Path] = ()) -> AbstractContextManager[Any]:
        """Start or find the cluster.

        Parameters
        ----------
        models
            Model files to put on every worker.

        Returns
        -------
        context manager
            Of a Dask client, which closes what was started; of None for ``none``.

        Raises
        ------
        ClusterError
            If it cannot be started or does not answer, or a package for it is missing.
        """
        client: AbstractContextManager[Any] = KINDS[self.kind].start(models=list(models), **self.options)
        return client
