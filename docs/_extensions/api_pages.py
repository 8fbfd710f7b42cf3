"""The API reference: what each room shows to the outside, in the order in which a reader meets the rooms."""

from __future__ import annotations

import importlib
import inspect

ROOMS = {
    "jepa_coffea": "The embedder",
    "jepa_coffea.constituents": "Events to constituents",
    "jepa_coffea.encoder": "The engine below the embedder",
    "jepa_coffea.processing": "Processors and runs",
    "jepa_coffea.clusters": "Clusters",
    "jepa_coffea.cwola": "Classification without labels",
    "jepa_coffea.bumphunt": "Statistics of a spectrum",
    "jepa_coffea.plots": "Pictures",
    "jepa_coffea.report": "The report",
}


def pages() -> dict[str, str]:
    """One page a room, and the list of them."""
    made = {f"api/{room}.md": page(room, title) for room, title in ROOMS.items()}
    entries = "\n".join(f"{title} <{room}>" for room, title in ROOMS.items())
    made["api/index.md"] = (
        "# API reference\n\nThe names that other people's code holds on to. Everything else may move.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n"
    )
    return made


def page(room: str, title: str) -> str:
    """Title, the room's own words, and an entry a name."""
    module = importlib.import_module(room)
    summary = (inspect.getdoc(module) or "").split("\n\n")[0].replace("``", "`")
    lines = [f"# {title}", "", f"`{room}`: {summary}", "", "```{eval-rst}"]
    names = [(name, getattr(module, name)) for name in getattr(module, "__all__", [])]
    for name, what in sorted(names, key=lambda item: rank(item[1])):
        lines += entry(room, name, what)
    return "\n".join([*lines, "```", ""])


def rank(what: object) -> int:
    """Functions, then what they take and give, then errors and constants."""
    if inspect.isclass(what):
        return 2 if issubclass(what, Exception) else 1
    return 0 if callable(what) else 3


def entry(room: str, name: str, what: object) -> list[str]:
    """The directive that documents a name."""
    path = f"{room}.{name}"
    if inspect.isclass(what):
        options = [] if issubclass(what, Exception) else ["   :members:"]
        if hasattr(what, "model_fields"):
            options.append("   :exclude-members: model_config")
        return [f".. autoclass:: {path}", *options, ""]
    if callable(what):
        return [f".. autofunction:: {path}", ""]
    return [f".. autodata:: {path}", "   :no-value:" if len(repr(what)) > 200 else "", ""]
