"""One picture of what the embedding space looks like: jets of embedded events in two dimensions (t-SNE).

python examples/embedding_space.py --events 'embedded/*/*.parquet' --output space.png
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from jepa_coffea.commands.command_line import Parser
from jepa_coffea.errors import BadFileError
from jepa_coffea.files import find_files, unquoted
from jepa_coffea.files.parquet import read_rows
from jepa_coffea.plots import Header, plot_embedding, save

PER_DATASET = 1000
"""Jets shown of each dataset."""


def jets_of(file: str, dataset: str, seed: int) -> pa.Table:
    """Leading jets of some events of a file: embedding, soft-drop mass, multiplicity and dataset.

    Parameters
    ----------
    file
        Parquet file of embedded events.
    dataset
        Its name.
    seed
        Of the choice of events.

    Returns
    -------
    Table
    """
    columns = ["jet1_embedding", "jet1_msoftdrop", "jet1_n_constituents"]
    rows = read_rows(file, columns)
    finite = (
        np.isfinite(rows["jet1_embedding"].combine_chunks().flatten().to_numpy()).reshape(len(rows), -1).all(axis=1)
    )
    rows = rows.filter(pa.array(finite))
    rows = rows.take(np.random.default_rng(seed).permutation(len(rows))[:PER_DATASET])
    return rows.append_column("dataset", pa.array([dataset] * len(rows)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the picture.

    Parameters
    ----------
    arguments
        Words of the command line; those of the process by default.
    """
    parser = Parser(description=__doc__)
    parser.add_argument("--events", nargs="+", required=True, metavar="GLOB", help="parquet files of embedded events")
    parser.add_argument("--output", type=Path, required=True, metavar="PNG", help="picture to write")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of jets and of t-SNE")
    parser.add_argument(
        "--header",
        nargs=2,
        default=("", ""),
        metavar=("LEFT", "RIGHT"),
        help="words above the picture, for instance Simulation '(13 TeV)'",
    )
    options = parser.parse_args(arguments)
    tables: dict[str, list[pa.Table]] = {}
    try:
        for file in find_files(options.events, "--events"):
            dataset = unquoted(Path(file).parent.name.removeprefix("dataset="))
            tables.setdefault(dataset, []).append(jets_of(file, dataset, options.seed))
    except BadFileError as error:
        parser.error(str(error))
    jets = pa.concat_tables([pa.concat_tables(parts)[:PER_DATASET] for parts in tables.values()])
    embedding = jets["jet1_embedding"].combine_chunks().flatten().to_numpy().reshape(len(jets), -1)
    # Neighbours are found among the directions that vary; the rest is noise and time.
    reduced = PCA(min(16, *embedding.shape), whiten=False, random_state=options.seed).fit_transform(embedding)
    perplexity = min(30.0, (len(jets) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, init="pca", random_state=options.seed).fit_transform(reduced)
    figure = plot_embedding(
        points,
        classes=np.array(jets["dataset"].to_pylist()),
        values={
            "Soft-drop mass [GeV]": jets["jet1_msoftdrop"].to_numpy(),
            "Particles": jets["jet1_n_constituents"].to_numpy(),
        },
        axes=("t-SNE 1", "t-SNE 2"),
        header=Header(*options.header),
    )
    save(figure, options.output, pdf=True)
    print(f"{len(jets)} jets: {options.output}")


if __name__ == "__main__":
    main()
