"""What a user says of the data of a training."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jepa_coffea.constituents.record import DISPLACEMENT, FIELDS, IDENTITY, KINEMATICS, SUBJET
from training.data.batching import BUCKET
from training.data.sources import Files


class DataConfig(BaseModel):
    """Files, splits and batches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: Files
    """A glob, a list of them, or ``name: globs`` / ``name: {files: globs, weight: passes per epoch}``. JetClass ROOT,
    JetClass-II parquet, PFNano, NanoAOD and Delphes events, or folders of prepared shards."""
    val_files: Files | None = None
    """Files for validation; None takes ``val_fraction`` of ``files``."""
    test_files: Files | None = None
    """Files for testing; None takes ``test_fraction`` of ``files``."""
    val_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Share of the jets that is kept for validation."""
    test_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the jets that no training sees, for ``evaluate.py``."""

    layout: str | None = None
    """Name of the layout of event files; None finds out."""
    collection: str = "FatJet"
    """Jet collection of event files."""
    fields: tuple[str, ...] = FIELDS
    """What batches hold of a particle: kinematics, and in this order identity, displacement and ``subjet``, each or
    not. A file that lacks one of them is an error. For ``subjet`` prepare the files with ``--subjets``: clustering is
    slow."""
    optional_fields: tuple[str, ...] = ()
    """Those of them that a file may lack, which are 0 then; a run adds what its objective drops at random."""

    batch_size: int = Field(default=1024, gt=0)
    """Jets in a batch, over all processes."""
    tokens: int | None = Field(default=None, gt=0)
    """Padded particles in a batch, over all processes, instead of ``batch_size``: equal cost, unequal jets."""
    bucketed: bool = True
    """Jets of like multiplicity share a batch, so that little is padding. False mixes: every batch is a fair sample of
    the data, at about twice the particles and four times the pairs."""
    max_particles: int = Field(default=128, gt=0)
    """Of a jet with more particles the hardest are kept."""
    window: int = Field(default=49152, gt=0)
    """Jets that are shuffled together, in memory: about 2 kB each, three windows at a time."""

    labels_per_class: int | None = Field(default=None, gt=0)
    """Train on this many labelled jets of each class; a smaller number picks some of those of a larger."""
    subset_seed: int = 0
    """Picks another subset."""

    skip_bad: bool = False
    """Leave out files and jets that cannot be used, count and list them, instead of stopping."""
    verify: bool = True
    """Compare a shard with its checksums when it is first read."""
    workers: int = Field(default=2, gt=0)
    """Threads that read and pack; batches do not depend on their number."""
    prefetch: int = Field(default=8, gt=0)
    """Batches that are ready before they are asked for."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        identity, displacement = (part if part[0] in self.fields else () for part in (IDENTITY, DISPLACEMENT))
        expected = (*KINEMATICS, *identity, *displacement, *((SUBJET,) if SUBJET in self.fields else ()))
        if self.fields != expected:
            msg = f"fields: {list(self.fields)}, expected {list(expected)} or more groups of {[*FIELDS, SUBJET]}"
            raise ValueError(msg)
        if self.val_fraction + self.test_fraction >= 1:
            held_out = self.val_fraction + self.test_fraction
            msg = f"val_fraction + test_fraction = {held_out}, which leaves nothing to train on"
            raise ValueError(msg)
        if self.max_particles % BUCKET:
            msg = f"max_particles: {self.max_particles}, expected a multiple of {BUCKET}"
            raise ValueError(msg)
        if self.tokens is not None and self.tokens < self.max_particles:
            msg = f"tokens: {self.tokens}, less than one jet of max_particles = {self.max_particles}"
            raise ValueError(msg)
        return self
