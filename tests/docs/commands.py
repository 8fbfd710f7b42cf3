"""Whether a shell command of the documentation could be typed: files, targets, extras and options all exist."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).parents[2]

OTHERS = {"cd", "conda", "export", "git", "pre-commit", "sbatch", "source"}
"""Programs that are not the project's; their words are not looked at."""


class ParsedError(Exception):
    """The command line was understood."""


def lines_of(code: str) -> Iterator[list[str]]:
    """The commands of a block as words; comments and continued lines are no commands of their own."""
    checked = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    for line in code.replace("\\\n", " ").split("\n"):
        tokens = shlex.shlex(line, posix=True, punctuation_chars=True)
        tokens.whitespace_split = True
        words: list[str] = []
        for word in [*tokens, ";"]:
            if word not in (";", "&&", "||", "|"):
                words += [] if not words and re.fullmatch(r"[A-Z_]+=\S*", word) else [word]
            elif words:
                yield words
                words = []


def check(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise AssertionError unless a reader could type this."""
    program, *arguments = words
    if program in OTHERS:
        return
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert next(word for word in arguments if "=" not in word) in targets
    elif program == "pip" or words[:3] == ["python", "-m", "pip"]:
        for extra in re.findall(r"\[([\w,-]+)\]", " ".join(arguments)):
            known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert set(extra.split(",")) <= set(known), extra
    elif program == "jepa-coffea":
        from jepa_coffea import cli

        understood(lambda: cli.main(arguments), monkeypatch)
    elif program in ("python", "torchrun"):
        scripts = [place for place, word in enumerate(arguments) if word.endswith(".py")]
        if words[:2] == ["python", "-m"] or not scripts:
            assert words[:2] in (["python", "-m"], ["python", "-c"]), words
            return
        script, options = ROOT / arguments[scripts[0]], arguments[scripts[0] + 1 :]
        if not script.is_file() and "/" not in arguments[scripts[0]]:
            return  # a reader's own script
        assert script.is_file(), script
        monkeypatch.setattr(sys, "argv", [str(script), *options])
        monkeypatch.syspath_prepend(str(ROOT))
        understood(lambda: runpy.run_path(str(script), run_name="__main__"), monkeypatch)
    else:
        msg = f"{program!r} is neither of the project nor a program that readers are expected to have"
        raise AssertionError(msg)


def understood(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go as far as the parser of the command line, which has to accept it."""
    original = argparse.ArgumentParser.parse_args

    def parse(self: argparse.ArgumentParser, *given: Any, **options: Any) -> NoReturn:
        original(self, *given, **options)
        raise ParsedError

    complaint = io.StringIO()
    with monkeypatch.context() as patch, contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(complaint):
        patch.setattr(argparse.ArgumentParser, "parse_args", parse)
        try:
            command()
        except ParsedError:
            return
        except SystemExit as left:
            if left.code in (0, None):
                return
    raise AssertionError(complaint.getvalue() or "the command did not parse its arguments")
