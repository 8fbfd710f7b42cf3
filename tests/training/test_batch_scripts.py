"""The SLURM scripts, with stand-ins for srun and scontrol: what they start, and when they queue themselves again."""

import os
import subprocess
from pathlib import Path

import pytest

BATCH = Path(__file__).parents[2] / "examples" / "batch"

SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
SLURM_PROCID=1 SLURM_LOCALID=1 exec "$@"
"""
SCONTROL = """#!/usr/bin/env bash
if [[ $1 == show ]]; then echo node7; echo node8; else echo "scontrol $*"; fi
"""
PYTHON = """#!/usr/bin/env bash
echo "rank $RANK of $WORLD_SIZE on $MASTER_ADDR:$MASTER_PORT"
printf '[%s]' "$@"
echo
exit "$STATUS"
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    for name, content in (("srun", SRUN), ("scontrol", SCONTROL), ("python", PYTHON)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def submit(script: str, stand_ins: Path, status: int, *arguments: str, **variables: str) -> tuple[int, str]:
    environment = os.environ | {
        "PATH": f"{stand_ins}:{os.environ['PATH']}",
        "PYTHON": str(stand_ins / "python"),
        "STATUS": str(status),
        "SLURM_JOB_ID": "1234",
        "SLURM_JOB_NODELIST": "node[7-8]",
        "SLURM_NTASKS": "8",
        "SLURM_CPUS_PER_TASK": "4",
    }
    command = ["bash", str(BATCH / script), *arguments]
    done = subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_every_process_knows_its_place(stand_ins: Path) -> None:
    status, said = submit("train_slurm.sh", stand_ins, 0, "c.yaml", "jets/*.root", "runs/a", "--stop-on-collapse")
    assert status == 0
    assert "rank 1 of 8 on node7:21234" in said
    assert "[training/pretrain.py][--config][c.yaml][--data][jets/*.root][--output][runs/a]" in said
    assert "[--resume][auto][--stop-on-collapse]" in said
    assert "requeue" not in said


@pytest.mark.parametrize("script", ["train_slurm.sh", "finetune_slurm.sh"])
def test_interrupted_goes_back_to_the_queue_and_an_error_does_not(stand_ins: Path, script: str) -> None:
    variables = {"SLURM_ARRAY_JOB_ID": "99", "SLURM_ARRAY_TASK_ID": "4"} | dict.fromkeys(
        ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"), "0"
    )
    job = "1234" if script == "train_slurm.sh" else "99_4"
    status, said = submit(script, stand_ins, 75, "a", "b", "c", **variables)
    assert (status, f"scontrol requeue {job}" in said) == (0, True)
    status, said = submit(script, stand_ins, 2, "a", "b", "c", **variables)
    assert (status, "requeue" in said) == (2, False)


def test_array_goes_through_modes_and_labels(stand_ins: Path) -> None:
    variables = {"RANK": "", "WORLD_SIZE": "", "MASTER_ADDR": "", "MASTER_PORT": "", "SLURM_ARRAY_JOB_ID": "99"}
    seen = set()
    for task in range(9):
        place = {"SLURM_ARRAY_TASK_ID": str(task)}
        _, said = submit("finetune_slurm.sh", stand_ins, 0, "runs/a", "x.root", "out", **variables, **place)
        arguments = said.splitlines()[1].strip("[]").split("][")
        seen.add((arguments[arguments.index("--mode") + 1], arguments[arguments.index("--labels-per-class") + 1]))
    assert seen == {(mode, n) for mode in ("finetune", "freeze", "scratch") for n in ("100", "1000", "10000")}
