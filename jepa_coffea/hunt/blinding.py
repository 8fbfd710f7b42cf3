"""A blind hunt: what it may report before anyone looks into the windows, and the record of its unblinding.

A blind result holds no number that depends on the events of its window, other than by the classifiers that learned from
them. It is made of backgrounds that the events beside the window let expect, pseudo-experiments and expected limits;
everything else is left out. What compares the window with an expectation says whether it passed, and no number. The
sidebands of one window may be windows of others, whose events its numbers then know. Trainings and pseudo-experiments
are kept in the folder as always, and the same document without ``blind`` goes on from them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np

from jepa_coffea.bumphunt.limits import LimitCurve, cls_limit
from jepa_coffea.bumphunt.significance import Constraint
from jepa_coffea.cwola.gates import Gate
from jepa_coffea.cwola.windows import Window, Windows
from jepa_coffea.errors import SpectrumError
from jepa_coffea.files import digest, sealed_document, unsealed_document, write_text
from jepa_coffea.hunt.config import StatisticsConfig
from jepa_coffea.hunt.nominal import SIGNAL, expected_significance
from jepa_coffea.hunt.selections import FUNCTION, Floats, unseen
from jepa_coffea.hunt.state import CalibrationResult, HuntResult, Run, SelectionResult, Sensitivity

COUNTED = re.compile(r": \d+ found, .*$")
"""What a gate tells of its counts."""

NUMBER = r"(?<![\w.])\d[\d.]*(?:e[+-]?\d+)?"

EVENTS = re.compile(
    rf"(?<!below )(?<!least )(?<!than ){NUMBER}(?=(?: (?:out )?of {NUMBER})?(?: [a-z]+){{0,3}} events?\b)"
    rf"|(?<=and ){NUMBER}(?= (?:above|before)\b)"  # of what is so many events on the other side
    rf"|(?<=holds ){NUMBER}"
    rf"|(?<=got ){NUMBER}(?:(?:, | and ){NUMBER})*"
)
"""Numbers of events in the words of a problem, not those that are required. Beside one window may be another."""

HIDDEN = ".blind"
"""Folder in which a blind hunt keeps scores, gates and tracebacks, which is no result and is not looked at."""

FILE = "blinding.json"
"""Where the folder keeps since when it was blind, and when it was unblinded."""

T = TypeVar("T")


@dataclass(frozen=True)
class Blinding:
    """Since when a folder was blind, and when and with which document it was unblinded."""

    since: str
    """Time (UTC) of the first blind result."""
    document: str
    """Fingerprint of the document of the last blind result, without ``blind``."""
    sections: Mapping[str, str] = field(default_factory=dict)
    """Fingerprint of each part of that document."""
    unblinded: str = ""
    """Time (UTC) of the first result with the windows' counts; empty before."""
    unblinded_with: str = ""
    """Fingerprint of the document of that result."""
    changed: tuple[str, ...] = ()
    """Parts of the document that were no longer those of the blind result."""

    @property
    def sentence(self) -> str:
        """What the report says of it.

        Returns
        -------
        str
        """
        if not self.unblinded:
            return f"Blind since {self.since} with document {self.document}."
        document = f"the same document {self.unblinded_with}"
        if self.changed:
            document = (
                f"document {self.unblinded_with}, which differs from the blind one {self.document} in "
                f"{', '.join(self.changed)}"
            )
        return f"Blind since {self.since}; unblinded on {self.unblinded} with {document}."


def record_blinding(run: Run) -> Blinding | None:
    """Read the folder's record and write into it what this hunt adds.

    Parameters
    ----------
    run
        The hunt.

    Returns
    -------
    Blinding or None
        None where the folder never was blind.
    """
    path = run.output / FILE
    known = None
    if path.is_file():
        stored = unsealed_document(path.read_bytes(), path)
        known = Blinding(**{**stored, "changed": tuple(stored["changed"])})
    if known is None and not run.config.blind:
        return None
    parts = run.config.model_dump(mode="json", exclude={"blind", "output", "cluster", "embed"})
    sections = {name: digest(part) for name, part in parts.items()}
    document, now = digest(sections), datetime.now(UTC).isoformat(timespec="seconds")
    if known is None:
        known = Blinding(now, document, sections)
    elif not known.unblinded:
        if run.config.blind:
            known = replace(known, document=document, sections=sections)
        else:
            changed = tuple(name for name, one in sections.items() if known.sections.get(name) != one)
            known = replace(known, unblinded=now, unblinded_with=document, changed=changed)
    write_text(path, json.dumps(sealed_document(known.__dict__), indent=1))
    return known


def blinded(found: HuntResult, statistics: StatisticsConfig) -> HuntResult:
    """A result without anything that was counted in a window.

    Parameters
    ----------
    found
        The whole result, reasons against it included.
    statistics
        The constraint of the background, and its function where it was not chosen.

    Returns
    -------
    HuntResult
        Gates, injections, the study of the function and limits against mass stay; selections are replaced by their
        sensitivity, and data, scores and pseudo-experiments are left out.
    """
    if found.functions is not None:
        statistics = statistics.model_copy(update={"function": found.functions.function})
    return HuntResult(
        found.output,
        (),
        calibration=CalibrationResult(background=found.background, problem=without_counts(found.calibration.problem)),
        closure=found.closure,
        injection=without_counts(found.injection),
        functions=without_counts(found.functions),
        background=found.background,
        reasons=without_counts(found.reasons),
        sensitivity=[without_counts(_sensitivity(one, found.background, statistics)) for one in found.everything],
        left_out=found.left_out,
    )


def blind_gates(gates: Sequence[Gate], windows: Sequence[Window]) -> list[Gate]:
    """Gates that do not tell how many events they counted, and of windows not even how far that is from expected.

    Parameters
    ----------
    gates
        Of the data.
    windows
        All windows of the hunt: the sidebands of one may be windows of others.

    Returns
    -------
    list of Gate
        Those that counted in a window have passed or failed, and have no numbers.
    """
    found = []
    for gate in gates:
        shown = replace(gate, explanation=without_counts(COUNTED.sub("", gate.explanation)))
        if gate.counted is not None:
            low, high = gate.counted
            if any(low < window.high and window.low < high for window in windows):
                explanation = f"{shown.explanation}; its number waits for the unblinding"
                shown = replace(shown, value=np.nan, error=np.nan, explanation=explanation)
        found.append(shown)
    return found


def blind_spectrum(found: HuntResult, windows: Windows) -> Floats:
    """The spectrum without a selection, in which every window holds the expected events instead of the observed ones.

    Parameters
    ----------
    found
        The whole result.
    windows
        Bins and windows.

    Returns
    -------
    array of float, (bins,)
        Events; those of a window without a fit are none.
    """
    counts = np.array(found.inclusive[0].selection.counts, dtype=float)
    for window, one in zip(windows.windows, found.inclusive, strict=True):
        bins, fit = windows.bins_of(window), one.selection.function.fit
        counts[bins] = 0.0 if fit is None else np.round(np.asarray(fit.expected)[bins])
    return counts


def without_observed(limits: Mapping[str, LimitCurve | str]) -> dict[str, LimitCurve | str]:
    """Limits of which only the expected ones are left, and no counts in words.

    Parameters
    ----------
    limits
        Of :func:`~jepa_coffea.hunt.inclusive.inclusive_limits`.

    Returns
    -------
    dict
        Observed limits are NaN.
    """
    found = {name: curve if isinstance(curve, str) else _expected(curve) for name, curve in limits.items()}
    return without_counts(found)


def describe_blind(found: HuntResult) -> str:
    """A blind result in one paragraph.

    Parameters
    ----------
    found
        Of :func:`blinded`.

    Returns
    -------
    str
    """
    sentences = ["This hunt is blind: nothing that was counted in a window is shown."]
    best = found.first_sensitivity
    if best is not None:
        sentences.append(
            f"{best.b:.1f} ± {best.sigma_b:.1f} events are expected in {best.label}, where {best.signal:.1f} signal "
            f"events ({SIGNAL:g} times the square root of the background) would be worth Z = {best.expected_z:.2f} "
            f"{'corrected' if best.calibrated else 'uncalibrated'}"
            + (
                "; no expected limit was found."
                if best.limit is None
                else f"; the expected 95 % CLs limit is {best.limit[2]:.1f} signal events."
            )
        )
    sentences += [*found.left_out, *found.without_limits]
    if found.reasons:
        sentences.append("If it were unblinded now it could not be quoted: " + "; ".join(found.reasons) + ".")
    else:
        sentences.append("All checks that can be made blind are passed; `blind: false` in the document unblinds it.")
    return " ".join(sentences)


def without_counts(said: T) -> T:
    """Problems without the numbers of events that were counted.

    Parameters
    ----------
    said
        A text, or whatever holds texts: a dict, a list, a tuple, a dataclass.

    Returns
    -------
    T
        The same with ``N`` for each such number; numbers that are no text are as they were.
    """
    changed: Any = said
    if isinstance(said, str):
        changed = EVENTS.sub("N", said)
    elif isinstance(said, Mapping):
        changed = {name: without_counts(one) for name, one in said.items()}
    elif isinstance(said, (list, tuple)):
        changed = type(said)(without_counts(one) for one in said)
    elif is_dataclass(said) and not isinstance(said, type):
        changed = replace(said, **{one.name: without_counts(getattr(said, one.name)) for one in fields(said)})
    return changed


def _sensitivity(finding: SelectionResult, background: str, statistics: StatisticsConfig) -> Sensitivity:
    """What a selection is worth, from the background that is expected without a look at its window, and its null."""
    selection = unseen(finding.selection, statistics)
    finding, estimate = replace(finding, selection=selection), selection.by(background)
    corrected = finding.calibrated(background) if selection.efficiency < 1 else None
    by = background if background in selection.estimates else FUNCTION
    known = Sensitivity(selection.window, selection.efficiency, selection.label, by, problem=estimate.problem)
    if estimate.problem:
        return known
    null = None if corrected is None else corrected.null
    signal = SIGNAL * float(np.sqrt(estimate.b))
    return replace(
        known,
        b=estimate.b,
        sigma_b=estimate.sigma_b,
        fit_p=estimate.fit_p,
        signal=signal,
        expected_z=expected_significance(estimate, signal, statistics.constraint, null),
        null=None if null is None else null.record(),
        limit=_expected_limit(finding, background, statistics.constraint),
    )


def _expected_limit(finding: SelectionResult, background: str, constraint: Constraint) -> tuple[float, ...] | None:
    """The five expected limits on selected signal events in the window, as if the background had been counted."""
    try:
        model = finding.model(background)
        if model is None:
            return None
        limit = cls_limit(replace(model, observed=np.asarray(model.background)), constraint=constraint)
    except (SpectrumError, ArithmeticError, np.linalg.LinAlgError):
        return None
    return tuple(float(value) for value in limit.expected_events)


def _expected(curve: LimitCurve) -> LimitCurve:
    """A curve without its observed limits."""
    nothing = np.full(len(curve.points), np.nan)
    return replace(curve, events=nothing, cross_section=nothing)
