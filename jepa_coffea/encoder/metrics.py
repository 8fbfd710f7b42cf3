"""What an encoder counts while it runs."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class Metrics:
    """What an encoder did since it was made; every number adds up over encoders, chunks and workers."""

    jets: int = 0
    """Jets asked for."""
    batches: int = 0
    """Micro-batches that ran."""
    particles: int = 0
    """Particles that went through the model."""
    padding: int = 0
    """Particle slots that went through the model empty."""
    seconds: float = 0.0
    """Wall time of the calls."""
    session_seconds: float = 0.0
    """Time inside ONNX Runtime, summed over threads."""
    loads: int = 0
    """Sessions that were opened; others were found open."""
    empty: int = 0
    """Jets without particles: NaN."""
    non_finite: int = 0
    """Jets with a NaN or infinity among their inputs, or numbers too large for the model to compute with: NaN."""
    truncated: int = 0
    """Jets with more particles than the model takes: the hardest were used."""
    retries: int = 0
    """Micro-batches halved because the device was out of memory."""

    def add(self, **more: float) -> None:
        """Add to the numbers named.

        Parameters
        ----------
        **more
            Name of a number to what is added.
        """
        for name, value in more.items():
            setattr(self, name, getattr(self, name) + value)

    def as_dict(self) -> dict[str, int | float]:
        """Name to number.

        Returns
        -------
        dict
        """
        return {item.name: getattr(self, item.name) for item in fields(self)}
