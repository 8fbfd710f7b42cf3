"""What a hunt did, in a paragraph for a reader who has not seen its document."""

import numpy as np

from jepa_coffea.cwola.windows import HIGH, LOW, WINDOW
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.state import HuntResult, Run

WORDS = {
    "embedding": "the embeddings of the jets",
    "scores": "the scores of a tagger",
    "observables": "jet observables",
    "columns": "columns of the event",
}


def what_was_done(run: Run, result: HuntResult) -> str:
    """Data, features, classifier, folds, background and calibration of a hunt.

    Parameters
    ----------
    run
        The hunt.
    result
        What it found.

    Returns
    -------
    str
        One paragraph; without any count of events for a blind hunt.
    """
    config = run.config
    sentences = [_data(config, result), *_regions(config, result)]
    windows, trained = config.mass.build().windows, config.input.histogram is None and not config.without_windows
    if trained:
        sentences.append(_classifiers(config, result))
    function = config.statistics.function if result.functions is None else result.functions.function
    if windows:
        sentences.append(f"The background in a window is expected from the events beside it, by a fit of {function}.")
    else:
        widths = " and ".join(f"{100 * width:g} %" for width in config.widths)
        sentences.append(
            f"At every mass a {config.kind_of_peak} peak with a standard deviation of {widths} of the mass was fitted "
            f"to the whole spectrum, together with a background of the function {function}."
        )
    if result.background != "function":
        sentences.append(f"The result is by the {result.background.replace('_', ' ')}, the fit is its cross-check.")
    experiments = config.calibration.experiments if trained else 0
    if experiments:
        sentences.append(
            f"{experiments} pseudo-experiments without signal, each with its own trainings and fits, show how "
            "large an excess background alone gives."
        )
    elif result.refitted is not None:
        sentences.append(f"{result.refitted.toys} toys, in which every fit is redone, give the global p-value.")
    return " ".join(sentences)


def _data(config: HuntConfig, result: HuntResult) -> str:
    edges = config.mass.build().edges
    where = f"with {config.mass.column} from {edges[0]:g} to {edges[-1]:g} GeV in {len(edges) - 1} bins"
    if config.input.histogram is not None:
        return f"This is a search for a bump in the histogram {config.input.histogram.name}, {where}."
    if config.without_windows:
        counted = "" if result.events is None else f" of {len(result.events.sample.mass)} events"
        return f"This is a search for a bump in a spectrum{counted}, {where}."
    many = "Events" if config.blind or result.events is None else f"{len(result.events.sample.mass)} events"
    return f"This is a search for a bump in embedded events. {many} {where} were used."


def _regions(config: HuntConfig, result: HuntResult) -> list[str]:
    """Where the windows are, and how many events are in them and beside them."""
    windows = config.mass.build()
    if len(windows.windows) > 4:
        first, last = windows.windows[0], windows.windows[-1]
        return [f"{len(windows.windows)} mass windows were looked at, from {first.low:g} to {last.high:g} GeV."]
    sentences = []
    for window in windows.windows:
        text = f"Window {window.name} is {window.low:g} to {window.high:g} GeV"
        if result.events is not None and not config.blind:
            region = window.region(result.events.sample.mass)
            low, inside, high = (np.count_nonzero(region == code) for code in (LOW, WINDOW, HIGH))
            text += f", with {inside} events; {low} are in the sideband below and {high} in that above"
        sentences.append(text + ".")
    return sentences


def _classifiers(config: HuntConfig, result: HuntResult) -> str:
    kinds = " and ".join(WORDS[kind] for kind in config.features.kinds)
    many = f" ({len(result.events.names)} numbers an event)" if result.events is not None else ""
    names = " or ".join(name.replace("_", " ") for name in config.classifier.candidates)
    efficiencies = ", ".join(f"{100 * efficiency:g} %" for efficiency in config.efficiencies)
    members = config.classifier.members
    learners = f"{members} classifiers ({names})" if members > 1 else f"a classifier ({names})"
    return (
        f"For each window and fold {learners} learned to tell its events from those of its sidebands by {kinds}{many}, "
        "without the mass and without labels; each event was scored by classifiers "
        f"that never saw it ({config.folds.outer} outer and {config.folds.inner} inner folds). Events at least as "
        f"window-like as the top {efficiencies} of the sidebands were selected."
    )
