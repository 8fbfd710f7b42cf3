"""What the command line refuses, and what ends a run that cannot succeed."""

from pathlib import Path

import pytest

from examples.simulate import arguments, main
from examples.simulation import events
from examples.simulation.events import EventsConfig, write_events
from examples.simulation.generate import GenerationError, Generator


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("--output=a.root", "needs --process and --events"),
        ("--output=a --format=jetclass", "needs --jets"),
        ("--output=a --format=jetclass --jets=5 --classes=Hbb,Hxx", "unknown classes Hxx; there are QCD, Hbb"),
        ("--output=a --format=jetclass --jets=5 --classes=hbb", "did you mean 'Hbb'?"),
        ("--output=a.root --process=qcd --events=0", "--events must be at least 1"),
        ("--output=a.root --process=qcd --events=5 --seed=99999999", "--seed must be"),
        ("--output=a.root --process=qcd --events=5 --mjj-min=3000 --mjj-max=2000", "must be below --mjj-max"),
    ],
)
def test_commands_that_are_refused(command: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        arguments(command.split())
    assert refused.value.code == 2
    assert message in capsys.readouterr().err


def test_settings_pythia_does_not_know() -> None:
    with pytest.raises(GenerationError, match="HardQCD:some"):
        Generator(("HardQCD:some = on",), seed=1)


def test_an_impossible_selection_ends_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "GIVE_UP", 60)
    command = ["--process=wprime", "--events=5", "--mpi=off", "--mjj-min=9000", "--workers=1"]
    with pytest.raises(SystemExit, match=r"none of .* events of wprime passes"):
        main([*command, f"--output={tmp_path / 'w.root'}"])
    assert list(tmp_path.iterdir()) == []


def test_what_fails_in_a_worker_fails_here(tmp_path: Path) -> None:
    config = EventsConfig(process="nonsense", events=10, events_per_shard=5, seed=1)
    with pytest.raises(KeyError, match="nonsense"):
        write_events(config, tmp_path / "a.root", workers=2)
    assert list(tmp_path.iterdir()) == []
