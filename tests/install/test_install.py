"""Every printed line that installs, and every extra of the wheel, in fresh environments: ``make test-install``.

These need a package index and half an hour, so that they are no part of ``make test``.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from jepa_coffea.cli import COMMANDS
from tests.docs.blocks import blocks_of, pages
from tests.install.environments import ROOT, Environment, checkout, wheel

pytestmark = [pytest.mark.install, pytest.mark.timeout(0)]

NEEDS_GPU = re.compile(r"\[[^\]]*\b(gpu|cuda)\b[^\]]*\]|\bgpu\b")


def printed() -> dict[str, str]:
    """Every line with ``pip install`` in a block of the pages, to where it stands first."""
    found: dict[str, str] = {}
    for page in pages(ROOT):
        for block in blocks_of(page):
            if block.language == "bash":
                for number, line in enumerate(block.code.split("\n")):
                    command = line.partition("  #")[0].strip()
                    if command.startswith("pip install"):
                        found.setdefault(command, f"{page.name}:{block.line + number}")
    return found


def extras_of(command: str) -> set[str]:
    return {name for group in re.findall(r"\[([\w,-]+)\]", command) for name in group.split(",")}


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def built(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(clone, tmp_path_factory.mktemp("wheel"))


def first_screen(environment: Environment) -> None:
    """The first commands and the first code of the README, on events of this repository."""
    environment.do("jepa-coffea --version")
    assert "Nothing to mend" in environment.do("jepa-coffea doctor")
    shutil.copy(ROOT / "tests/data/pfnano.root", environment.place / "events.root")
    code = next(block.code for block in blocks_of(ROOT / "README.md") if block.language == "python")
    (environment.place / "mine.py").write_text(code)
    assert "var * 192 * float32" in environment.do("python mine.py")


def hunt(environment: Environment) -> None:
    """A hunt in a histogram, with its report."""
    edges = [2000 + 50 * i for i in range(51)]
    counts = [round(4000 * 0.9**i) for i in range(50)]
    (environment.place / "spectrum.json").write_text(json.dumps({"counts": counts, "edges": edges}))
    (environment.place / "plain.yaml").write_text(
        "input: {histogram: spectrum.json}\noutput: found\nmass: {windows: [{window: [2500, 3100], "
        "sidebands: [2200, 3400]}]}\nstatistics: {sqrt_s: 13000, global_toys: 20, goodness_toys: 100}\n"
    )
    done = environment.run("jepa-coffea hunt plain.yaml --quiet")
    assert done.returncode in (0, 1), done.stdout
    assert (environment.place / "found/report.html").is_file()


def train(environment: Environment) -> None:
    """What the README says of training, a step of each."""
    environment.do("python examples/simulate.py --format jetclass --classes all --jets 40 --output jets/")
    brief = "--set steps=2 data.batch_size=16"
    environment.do(
        f"python training/pretrain.py --config training/configs/pjepa_mini.yaml --data 'jets/*.root' "
        f"--output runs/a {brief}"
    )
    environment.do(
        "python training/finetune.py --encoder runs/a --labels-per-class 5 --data 'jets/*.root' --output runs/b "
        f"{brief}"
    )
    environment.do("python training/evaluate.py runs/b")
    environment.do("python training/export.py runs/b --output encoder.onnx")
    environment.do("jepa-coffea validate encoder.onnx")


def simulate(environment: Environment) -> None:
    environment.do(
        "python examples/simulate.py --process wprime --mjj-min 2000 --mpi off --events 3 --output simulated.root"
    )


def site(environment: Environment) -> None:
    environment.do("python -m sphinx --fail-on-warning --quiet docs built")


def developed(environment: Environment) -> None:
    # Without the package beside them its imports are sorted among those of others.
    environment.do("ruff check --ignore I001 training && python -m pytest -q tests/constituents")


def jobs(environment: Environment) -> None:
    environment.do("python -c 'from jepa_coffea import clusters; print(clusters.job_script(clusters.slurm(0)))'")


def lazily(environment: Environment) -> None:
    environment.do("python -m pytest -q tests/dask_awkward")


@pytest.mark.parametrize("command", printed())
def test_printed_line(command: str, clone: Path, tmp_path: Path) -> None:
    """It installs, and what stands below it works."""
    environment = Environment.new(tmp_path / "env", shutil.copytree(clone, tmp_path / "clone"))
    if NEEDS_GPU.search(command):
        environment.do(command + " --dry-run")
        return
    if "dist/" in command:
        environment.do("pip install build")
        environment.do("python -m build --wheel")
    environment.do(command)
    extras = extras_of(command)
    if "cpu" in extras or "onnxruntime" in command:
        first_screen(environment)
    if "hunt" in extras:
        hunt(environment)
    if {"train", "simulation"} <= extras:
        train(environment)
    elif "simulation" in extras:
        simulate(environment)


EXTRAS = {
    "": [],
    "cpu": [first_screen],
    "cpu,hunt": [first_screen, hunt],
    "cpu,jobqueue": [first_screen, jobs],
    "cpu,dask-awkward": [],
    "simulation": [simulate],
    "cpu,train,simulation": [train],
    "docs": [site],
    "cpu,dev": [developed],
}
"""Extras of the wheel, to what then works in a checkout."""

ARGUMENTS = {
    "doctor": "",
    "models": "",
    "inspect": "pjepa-mini",
    "validate": "pjepa-mini",
    "embed": "embed.yaml",
    "hunt": "plain.yaml",
    "report": "found",
    "wrap": "foreign.onnx --card card.yaml",
}


def test_every_command_is_tried() -> None:
    assert set(ARGUMENTS) == set(COMMANDS)


@pytest.mark.parametrize("extras", EXTRAS)
def test_wheel_with_extras(extras: str, built: Path, clone: Path, tmp_path: Path) -> None:
    """What an extra is for works; a command that lacks one names it in a line."""
    environment = Environment.new(tmp_path / "env", shutil.copytree(clone, tmp_path / "clone"))
    environment.do(f"pip install '{built}{f'[{extras}]' if extras else ''}'")
    shutil.rmtree(environment.place / "jepa_coffea")  # the wheel's is meant
    for work in EXTRAS[extras]:
        work(environment)
    for command, arguments in ARGUMENTS.items():
        done = environment.run(f"jepa-coffea {command} {arguments}")
        assert "Traceback" not in done.stdout, f"{command}: {done.stdout}"
        if command in ("hunt", "report") and not {"hunt", "docs"} & set(extras.split(",")):
            assert done.returncode == 2
            assert re.search(r"pip install '?jepa-coffea\[.*hunt", done.stdout), done.stdout
            assert len(done.stdout.splitlines()) == 1
        if command in ("doctor", "validate") and not {"cpu", "train", "docs"} & set(extras.split(",")):
            assert done.returncode != 0
            assert "jepa-coffea[cpu]" in done.stdout.replace("\n", ""), done.stdout


@pytest.mark.parametrize("extras", ["gpu", "gpu,cuda"])
def test_extras_of_gpus_can_be_resolved(extras: str, built: Path, tmp_path: Path) -> None:
    environment = Environment.new(tmp_path / "env", tmp_path)
    environment.do(f"pip install --dry-run '{built}[{extras}]'")
