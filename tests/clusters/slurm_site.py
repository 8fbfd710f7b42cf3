"""A real SLURM of one node on this machine: munge, controller and node daemon in a folder of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
GresTypes=gpu
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=2000 Gres=gpu:4 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs of SLURM and munge that are not installed."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return [name for name in DAEMONS if shutil.which(name, path=path) is None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def one_node(folder: Path) -> Iterator[dict[str, str]]:
    """Start it, give the environment in which its commands find it, and stop everything that was started."""
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    configuration = CONFIGURATION.format(host=host, folder=folder, controller=free_port(), node=free_port())
    (folder / "slurm.conf").write_text(configuration)
    # SLURM counts devices and hands them out; that they are no GPUs, only a job would notice.
    devices = "\n".join(f"NodeName={host} Name=gpu File=/dev/{name}" for name in ("null", "zero", "full", "random"))
    (folder / "gres.conf").write_text(f"{devices}\n")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    commands = (
        [
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munged.seed",
        ],
        ["slurmctld", "-D", "-f", str(folder / "slurm.conf")],
        ["slurmd", "-D", "-f", str(folder / "slurm.conf"), "-N", host],
    )
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("wb") as out:
                started.append(subprocess.Popen(command, env={**os.environ, **environment}, stdout=out, stderr=out))
            time.sleep(1)
        _wait_for_node(folder, {**os.environ, **environment}, started)
        yield environment
    finally:
        _cancel_all({**os.environ, **environment})
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)


def _cancel_all(environment: dict[str, str]) -> None:
    """Ask, then insist: the node daemon does not end before its jobs."""
    for signal in ([], ["--signal=KILL", "--full"]):
        subprocess.run(["scancel", *signal, "--user=root"], env=environment, capture_output=True, check=False)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            listed = subprocess.run(["squeue", "-h"], env=environment, capture_output=True, check=False)
            if not listed.stdout.strip():
                return
            time.sleep(0.5)


def _wait_for_node(folder: Path, environment: dict[str, str], started: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 60
    state = ""
    while time.monotonic() < deadline:
        answer = subprocess.run(
            ["sinfo", "-h", "-o", "%t"], env=environment, capture_output=True, text=True, check=False
        )
        state = (answer.stdout + answer.stderr).strip()
        if state == "idle":
            return
        if state.startswith("inval") or any(process.poll() is not None for process in started):
            break
        time.sleep(0.5)
    logs = "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in sorted(folder.glob("*.[lo][ou][gt]")))
    msg = f"SLURM did not start, the node is {state!r}\n{logs}"
    raise RuntimeError(msg)
