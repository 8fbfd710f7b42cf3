"""Help that says every default, a log that ``-v`` shows, and completion in a shell."""

import argparse
import importlib
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from jepa_coffea import cli
from jepa_coffea.commands.command_line import LOGGER, Help, add_verbose, show_log

SCRIPTS = [
    *("training.pretrain", "training.finetune", "training.evaluate", "training.export", "training.prepare"),
    *("examples.label_efficiency.run", "examples.anomaly_search.run"),
]


@pytest.fixture
def level() -> object:
    logger = logging.getLogger(LOGGER)
    before, handlers = logger.level, [*logger.handlers]
    yield None
    logger.setLevel(before)
    logger.handlers[:] = handlers


def command_parsers() -> dict[str, argparse.ArgumentParser]:
    _, parsers = cli._parsers()
    for name, parser in parsers.items():
        cli._configured(name, parser)
    return parsers


def test_help_says_defaults_and_no_empty_ones() -> None:
    parser = argparse.ArgumentParser(formatter_class=Help)
    parser.add_argument("--number", type=int, default=0, help="a number")
    parser.add_argument("--flag", action="store_true", help="a flag")
    parser.add_argument("--file", help="a file")
    text = parser.format_help()
    assert "a number (default: 0)" in text
    assert "None" not in text
    assert "False" not in text


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (
            ["hunt", "--quite", "a.yaml"],
            "unrecognized arguments: --quite; did you mean '--quiet'?",
        ),
        (["--quite", "hunt", "a.yaml"], "unrecognized arguments: --quite"),
        (["validate", "a", "--colection=Jet"], "did you mean '--collection'?"),
        (["validate", "a", "--provider", "gpu"], "did you mean 'cuda'?"),
        (["inspect", "a", "-q"], "unrecognized arguments: -q\n"),
        (["--print-completion", "bsh"], "did you mean 'bash'?"),
    ],
)
def test_what_was_meant_by_an_option(words: list[str], match: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    assert match in capsys.readouterr().err


@pytest.mark.parametrize("parser", [*command_parsers().items()], ids=lambda one: one[0])
def test_every_argument_of_commands_is_explained(parser: tuple[str, argparse.ArgumentParser]) -> None:
    explained(parser[1])


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_argument_of_scripts_is_explained(name: str) -> None:
    module = importlib.import_module(name)
    explained((getattr(module, "parser", None) or module.options)())


def explained(parser: argparse.ArgumentParser) -> None:
    assert parser.formatter_class is Help
    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.parametrize(("words", "shown"), [([], logging.NOTSET), (["-v"], logging.INFO), (["-vv"], logging.DEBUG)])
def test_verbose(words: list[str], shown: int, level: None) -> None:
    parser = argparse.ArgumentParser()
    add_verbose(parser)
    logging.getLogger(LOGGER).setLevel(logging.NOTSET)
    parser.parse_args(words)
    assert logging.getLogger(LOGGER).level == shown


def test_a_command_logs_what_it_opens(capfd: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jepa_coffea.cli", "validate", "-v", "pjepa-mini", "--provider", "cpu"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pjepa-mini.onnx opened on" in " ".join(done.stderr.split())
    assert "INFO" not in done.stdout


def test_an_application_with_its_own_log_gets_no_second_handler(level: None) -> None:
    before = len(logging.getLogger(LOGGER).handlers)
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        show_log(1)
        assert len(logging.getLogger(LOGGER).handlers) == before
    finally:
        logging.getLogger().removeHandler(handler)


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    ask = (
        f"source {script}; COMP_WORDS=({' '.join(repr(word) for word in words)}); "
        f"COMP_CWORD={len(words) - 1}; _shtab_jepa_coffea; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_completion_in_bash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--print-completion", "bash"])
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    assert completed(script, "jepa-coffea", "va") == ["validate"]
    assert completed(script, "jepa-coffea", "validate", "--pro") == ["--provider"]
    assert set(completed(script, "jepa-coffea", "validate", "--provider", "")) == {"auto", "cuda", "tensorrt", "cpu"}
