"""The table of shipped models and what they reach, read from their cards."""

from __future__ import annotations

from jepa_coffea.commands.models import LABELS, frozen_accuracy
from jepa_coffea.encoder.card import ModelCard, read_card
from jepa_coffea.encoder.model_files import shipped


def pages() -> dict[str, str]:
    """A fragment for other pages to include."""
    cards = {name: read_card(path) for name, path in shipped().items()}
    size = {name: path.stat().st_size for name, path in shipped().items()}
    return {"fragments/models.md": "\n".join([*overview(cards, size), ""])}


def overview(cards: dict[str, ModelCard], size: dict[str, int]) -> list[str]:
    """One row per model."""
    accuracy = f"accuracy, frozen, {LABELS} labels per class"
    rows = [f"| name | {accuracy} | scale of the jet | numbers per jet | classes | objective | MB |", "|---" * 7 + "|"]
    for name, card in cards.items():
        cells = (
            *(f"`{name}`", frozen_accuracy(card), card.scale, card.embedding_dim, len(card.class_names) or "none"),
            *(card.objective, f"{size[name] / 1e6:.1f}"),
        )
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return rows
