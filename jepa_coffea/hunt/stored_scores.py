"""Out-of-fold scores as a parquet file, beside the identity of each event, and back."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jepa_coffea.cwola.scores import WindowScores
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.hunt.events import Events


def write_scores(path: Path, key: str, events: Events, scores: Sequence[WindowScores]) -> None:
    """One row per event: run, luminosityBlock, event, mass, fold, and score and fraction of each window.

    ``key`` says what the scores were made from; it is kept in the file's metadata with the chosen classifiers.
    """
    columns = dict(zip(("run", "luminosityBlock", "event"), events.identity.T, strict=True))
    columns |= {"mass": events.sample.mass, "fold": scores[0].fold}
    for of_window in scores:
        columns[f"score_{of_window.window.name}"] = of_window.score
        columns[f"fraction_{of_window.window.name}"] = of_window.fraction
    choice = [{"chosen": s.chosen, "argos": s.argos} for s in scores]
    metadata = {b"jepa_coffea_hunt": json.dumps({"key": key, "models": events.models, "choice": choice}).encode()}
    table = pa.table({name: pa.array(values) for name, values in columns.items()}).replace_schema_metadata(metadata)
    temporary = path.with_name(path.name + ".part")
    pq.write_table(table, temporary)
    temporary.replace(path)


def read_scores(path: Path, key: str, events: Events, windows: Windows) -> list[WindowScores] | None:
    """The scores of a finished training, or None when there are none or they were made from something else."""
    if not path.is_file():
        return None
    table = pq.read_table(path)
    stored = json.loads((table.schema.metadata or {}).get(b"jepa_coffea_hunt", b"{}"))
    if stored.get("key") != key:
        return None
    return [
        WindowScores(
            window,
            table[f"score_{window.name}"].to_numpy(),
            table[f"fraction_{window.name}"].to_numpy(),
            window.region(events.sample.mass),
            table["fold"].to_numpy().astype(np.int64),
            tuple(choice["chosen"]),
            tuple(choice["argos"]),
        )
        for window, choice in zip(windows.windows, stored["choice"], strict=True)
    ]
