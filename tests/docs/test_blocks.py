"""Every code block of the README and of the documentation does what it says there.

``REFRESH_OUTPUTS=1 pytest tests/docs/test_blocks.py`` writes into the pages what Python printed where it has changed.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import json
import os
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest

from jepa_coffea.constituents import layout
from jepa_coffea.encoder.model_files import shipped
from jepa_coffea.encoder.session import release
from tests.docs import commands, documents
from tests.docs.blocks import Block, blocks_of, pages

ROOT = Path(__file__).parents[2]
CHECK = doctest.OutputChecker()
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture
def workplace(tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder in a checkout, in a fresh process: events, an encoder, and the folders of the project."""
    release()  # what other tests loaded would be counted as no load
    layout.known()  # all are registered once in a process, and stay
    monkeypatch.setattr(layout, "_LAYOUTS", dict(layout._LAYOUTS))  # a page registers one
    for name in ("processors", "training"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("runs", "notebooks"))
    for file in sample.iterdir():
        (tmp_path / file.name).symlink_to(file)
    shutil.copy(shipped()["pjepa-mini"], tmp_path / "encoder.onnx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


@pytest.mark.parametrize("page", pages(ROOT), ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks(page: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed: str | None = None
    problems, fresh = [], {}
    for block in blocks_of(page):
        try:
            if block.language == "text" and block.directly and printed is not None:
                if not CHECK.check_output(block.code, printed, LIKE):
                    fresh[block] = printed
                continue
            printed = do(block, namespace, monkeypatch)
        except Exception as error:  # noqa: BLE001  every block of the page is reported
            problems.append(f"{block.place}: {type(error).__name__}: {error}")
    if os.environ.get("REFRESH_OUTPUTS"):
        replace(page, fresh)
    else:
        problems += [f"{block.place}: expected\n{block.code}\ngot\n{text}" for block, text in fresh.items()]
    assert not problems, "\n\n".join(problems)


def replace(page: Path, fresh: dict[Block, str]) -> None:
    """Write outputs into a page."""
    lines = page.read_text().split("\n")
    for block, printed in reversed(fresh.items()):
        start = block.line - 1
        lines[start : start + block.code.count("\n")] = printed.rstrip("\n").split("\n")
    page.write_text("\n".join(lines))


def do(block: Block, namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Check or run a block; what Python printed."""
    match block.language:
        case "python" if block.note.startswith("only checked"):
            tree = compile(block.code, block.place, "exec", ast.PyCF_ONLY_AST)
            wanted = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
            run([*map(ast.unparse, wanted)], block, dict(namespace))
        case "python":
            return run([block.code], block, namespace)
        case "bash":
            for words in commands.lines_of(block.code):
                commands.check(words, monkeypatch)
            if block.note == "run":
                execute(block.code)
        case "yaml":
            documents.check(block.code)
        case "json":
            json.loads(block.code)
        case "toml":
            tomllib.loads(block.code)
        case "text":
            pass
        case name if name.startswith("{"):  # a directive of MyST
            pass
        case other:
            msg = f"unknown language {other!r}; say python, bash, yaml, json or text"
            raise AssertionError(msg)
    return None


def run(sources: list[str], block: Block, namespace: dict[str, Any]) -> str:
    """Run Python as a reader would; what it printed."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries; a reader sees them, and they fail other tests
        for source in sources:
            exec(compile(source, block.place, "exec"), namespace)
    return output.getvalue()


def execute(code: str) -> None:
    """Run commands in the folder of the reader, with this environment's programs."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
