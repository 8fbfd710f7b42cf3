"""Preparing in several processes, and what the manifest says."""

from pathlib import Path

import numpy as np

from jepa_coffea.files import unsealed_document
from training.data.checksums import of_array, of_file
from training.data.preparation import Manifest, prepare
from training.data.shards import ShardFile
from training.data.sources import Reading, expand


def written(folder: Path) -> Manifest:
    """The manifest, as it is in the folder."""
    path = folder / "manifest.json"
    return Manifest.model_validate(unsealed_document(path.read_bytes(), path))


def test_several_processes_write_the_same(jetclass: Path, shards: Path, tmp_path: Path) -> None:
    manifest = prepare(f"{jetclass}/*.root", tmp_path, Reading(), workers=2)
    alone = written(shards)
    assert manifest.model_dump(exclude={"created"}) == alone.model_dump(exclude={"created"})
    assert written(tmp_path) == manifest


def test_manifest(jetclass: Path, shards: Path) -> None:
    manifest = written(shards)
    assert manifest.jets == 6600
    assert manifest.class_counts == {"Hbb": 1800, "Tbqq": 2600, "QCD": 2200}
    assert manifest.files_left_out == manifest.jets_left_out == {}
    assert len(manifest.shards) == 6
    for name, shard in manifest.shards.items():
        source = Path(shard["source"])
        assert source.parent == jetclass
        assert (source.stat().st_size, of_file(source)) == (shard["source_bytes"], shard["source_checksum"])
        for column, checksum in shard["checksums"].items():
            assert of_array(np.load(shards / name / f"{column}.npy")) == checksum


def test_shards_keep_every_bit(shards: Path) -> None:
    """Types on disk are those in memory, and small integers are all that identity holds."""
    for path in expand(str(shards)):
        file = ShardFile(path)
        columns = file.read(0, file.jets)
        assert columns.kinematics.dtype == columns.displacement.dtype == np.float32
        assert set(np.unique(columns.identity)) <= {-1, 0, 1}
        file.verify()


def test_a_folder_a_glob_and_the_manifest_name_the_same_shards(shards: Path) -> None:
    assert expand(str(shards)) == expand(f"{shards}/*") == expand(str(shards / "manifest.json"))
    assert len(expand([str(shards), f"{shards}/HToBB*"])) == 6
