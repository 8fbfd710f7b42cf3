"""Gates, and the paragraph that says what was found and whether it may be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.significance import z_value


@dataclass(frozen=True)
class Gate(Record):
    """A condition that a result must meet before it may be quoted."""

    name: str
    passed: bool
    measured: str
    """What was found, with its error: "0.508 +- 0.006"."""
    required: str
    """What would pass: "0.5 within 3 standard deviations"."""
    meaning: str
    """What a failure would mean, in a sentence."""


def conclude(
    *,
    where: str,
    local_z: float,
    global_p: float | None,
    gates: Sequence[Gate],
    calibrated_p: float | None = None,
    bound: bool = False,
) -> str:
    """One paragraph: the most significant excess, its global and calibrated p-value, and the verdict of the gates.

    where: of the excess, for instance "the window 2.5-3.1 TeV at efficiency 1 %". bound: whether no toy reached the
    data, so that ``global_p`` is an upper bound.
    """
    text = [
        f"The most significant excess lies in {where}, with a local significance of {local_z:.2f} standard deviations."
    ]
    if global_p is not None:
        sign = "below" if bound else "of"
        text.append(
            f"Counting everything that was looked at, background alone does this with a probability {sign} "
            f"{global_p:.2g} ({float(z_value(global_p)):.2f} standard deviations)."
        )
    if calibrated_p is not None:
        text.append(
            f"Calibrated by repeating the whole analysis on background-only pseudo-data, the p-value is "
            f"{calibrated_p:.2g} ({float(z_value(calibrated_p)):.2f} standard deviations)."
        )
    final = next((p for p in (calibrated_p, global_p) if p is not None), None)
    if final is None:
        text.append("No global p-value was computed, so the trials are not accounted for.")
    elif final > 0.05:
        text.append("This is what background alone is expected to look like.")
    elif final > 1.35e-3:
        text.append("This is less than evidence (3 standard deviations) for anything.")
    elif final > 2.87e-7:
        text.append("This is more than 3 standard deviations and less than the 5 of a discovery.")
    else:
        text.append("This is beyond 5 standard deviations.")
    if bound and calibrated_p is None:
        text.append("No toy reached the data: the probability is a bound, and more toys would lower it.")
    failed = [gate.name for gate in gates if not gate.passed]
    if not gates:
        text.append("No closure gate was run: the number has not been tested and should not be quoted.")
    elif failed:
        text.append(
            f"It must not be quoted: {len(failed)} of {len(gates)} closure gates failed ({', '.join(failed)}). "
            f"{' '.join(gate.meaning for gate in gates if not gate.passed)}"
        )
    else:
        text.append(f"All {len(gates)} closure gates passed.")
    return " ".join(text)
