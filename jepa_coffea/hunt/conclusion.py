"""The end of a hunt: whether its result may be quoted, the result in words, and the files that say so."""

from dataclasses import replace

from jepa_coffea.hunt.blinding import describe_blind
from jepa_coffea.hunt.output import write_result
from jepa_coffea.hunt.state import HuntResult, Run
from jepa_coffea.hunt.steps import step
from jepa_coffea.hunt.verdict import describe


def conclude(run: Run, found: HuntResult) -> HuntResult:
    """Judge what was found, put it into words and write it; may be done again when more has failed.

    Parameters
    ----------
    run
        The hunt, which knows what failed on the way.
    found
        What it found.

    Returns
    -------
    HuntResult
        With what failed among the reasons against it, and with its paragraph.
    """
    text = step(
        run,
        "summary",
        lambda: _in_words(run, _with_failures(run, found)),
        lambda _: "",
        reason="the result could not be put into words",
    )
    judged = _worded(_with_failures(run, found), text)
    return step(
        run, "results.json", lambda: _written(run, judged), lambda problem: _written(run, _bare(judged, problem))
    )


def _in_words(run: Run, judged: HuntResult) -> str:
    return describe_blind(judged) if run.config.blind else describe(judged, judged.notes, judged.reasons)


def _bare(judged: HuntResult, problem: str) -> HuntResult:
    """A result that holds nothing but why it does."""
    reasons = [*judged.reasons, f"it could not be written: {problem}"]
    return _worded(HuntResult(judged.output, (), blinding=judged.blinding, reasons=reasons), "")


def _with_failures(run: Run, found: HuntResult) -> HuntResult:
    return replace(found, reasons=list(dict.fromkeys([*found.reasons, *run.failed])))


def _worded(judged: HuntResult, text: str) -> HuntResult:
    """With its paragraph: a text, or nothing but the reasons, and when it was blind."""
    text = text or f"This result must not be quoted: {'; '.join(judged.reasons)}."
    return replace(judged, paragraph=f"{text} {judged.blinding}".rstrip())


def _written(run: Run, result: HuntResult) -> HuntResult:
    write_result(run, result)
    return result
