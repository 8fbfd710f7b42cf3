"""Tables of what shipped models reach, read from their cards and from the results of the studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jepa_coffea.encoder.card import ModelCard, read_card
from jepa_coffea.encoder.model_files import shipped


def pages(root: Path) -> dict[str, str]:  # noqa: ARG001  all of it is in the files that the package ships
    """A fragment for other pages to include."""
    cards = {name: read_card(path) for name, path in shipped().items()}
    size = {name: path.stat().st_size for name, path in shipped().items()}
    return {"fragments/models.md": "\n".join([*overview(cards, size), "", *reached(cards), ""])}


def overview(cards: dict[str, ModelCard], size: dict[str, int]) -> list[str]:
    """One row per model."""
    rows = ["| name | objective | numbers per jet | classes | scale of the jet | MB |", "|---|---|---|---|---|---|"]
    for name, card in cards.items():
        classes = ", ".join(card.class_names) or "none"
        cells = (f"`{name}`", card.objective, card.embedding_dim, classes, card.scale, f"{size[name] / 1e6:.1f}")
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return rows


def reached(cards: dict[str, ModelCard]) -> list[str]:
    """The results of each card as a table, with the number of test jets and labels in its title."""
    lines: list[str] = []
    for name, card in cards.items():
        results = card.results
        plain = {key: value for key, value in results.items() if not isinstance(value, dict)}
        measured = {key: value for key, value in results.items() if isinstance(value, dict)}
        if not measured:
            continue
        lines += [f"**`{name}`**: " + ", ".join(f"{key.replace('_', ' ')} {words(v)}" for key, v in plain.items()), ""]
        lines += ["| | accuracy | AUC |", "|---|---|---|"]
        lines += [f"| {key} | {number(v, 'accuracy')} | {number(v, 'auc')} |" for key, v in measured.items()]
        lines.append("")
    return lines


def number(values: dict[str, Any], key: str) -> str:
    """A value with its spread, where there is one."""
    if key not in values:
        return ""
    spread = values.get(f"{key}_spread")
    return f"{values[key]:.3f}" + ("" if spread is None else f" ± {spread:.3f}")


def words(value: Any) -> str:
    """A plain result for a sentence."""
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
