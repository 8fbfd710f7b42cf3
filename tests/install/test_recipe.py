"""The conda recipe asks for what the package asks for."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

OTHER_NAMES = {"fastjet": "fastjet-python", "matplotlib": "matplotlib-base"}
"""Name on PyPI to that on conda-forge, where they differ."""


def floors(requirements: list[str]) -> dict[str, str]:
    found = {}
    for text in requirements:
        name, version = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", text).groups()
        found[OTHER_NAMES.get(name, name)] = version
    return found


def listed(section: str) -> dict[str, str]:
    text = (ROOT / "conda.recipe/meta.yaml").read_text()
    block = re.search(rf"^  {section}:\n((?:    - .*\n)+)", text, re.M)[1]
    return dict(re.findall(r"- ([\w-]+) >=([\d.]+)", block))


def test_same_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = floors(project["dependencies"])
    wanted["distributed"] = wanted["dask"]  # dask[distributed]
    assert listed("run") == wanted | floors(extras["cpu"])
    assert listed("run_constrained") == floors(extras["hunt"]) | floors(extras["jobqueue"])
