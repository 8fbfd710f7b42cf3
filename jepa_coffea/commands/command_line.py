"""What all command lines share, those of the scripts in a checkout too: help with defaults, typos, and the log."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from rich.console import Console
from rich.logging import RichHandler

from jepa_coffea.errors import closest

LOGGER = "jepa_coffea"
"""The one logger; those of modules lie below it."""


class Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Help that keeps the line breaks of its description and says the default of every option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = any(action.default is value for value in (None, False, argparse.SUPPRESS)) or action.default == []
        return action.help if silent or "default" in (action.help or "") else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """A parser with this help, that says which option or value was meant by one that there is not.

    Parameters
    ----------
    formatter_class
        As of argparse.
    **options
        All others of argparse's parser.
    """

    def __init__(self, *, formatter_class: Any = Help, **options: Any) -> None:
        super().__init__(formatter_class=formatter_class, **options)

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and stop.

        Parameters
        ----------
        message
            As argparse words it.
        """
        parsers = [self]  # and those of sub-commands, whose unknown options argparse tells to this one
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
        known = {option: action for one in parsers for action in one._actions for option in action.option_strings}
        found = re.match(r"argument (?:\S+/)?(\S+): invalid choice: '(.*?)' ", message)
        if message.startswith("unrecognized arguments: "):
            words = [word.partition("=")[0] for word in message.split()[2:]]
            meant = [closest(word, known) for word in words if word.startswith("--")]
        elif found and found[1] in known:
            meant = [closest(found[2], map(str, known[found[1]].choices or ()))]
        else:
            meant = []
        super().error("; ".join([message, *(f"did you mean {name!r}?" for name in meant if name)]))


class _Verbose(argparse.Action):
    """Show the log, and more of it each time that the option is given."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None) -> None:  # noqa: ARG002
        given = (getattr(namespace, self.dest) or 0) + 1
        setattr(namespace, self.dest, given)
        show_log(given)


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Add ``--verbose``.

    Parameters
    ----------
    parser
        Gets the option.
    """
    parser.add_argument("-v", "--verbose", action=_Verbose, help="say what is done and how long it took; -vv in detail")


def show_log(verbose: int) -> None:
    """Print the log of this project to standard error.

    Parameters
    ----------
    verbose
        0 for warnings, 1 for what is done, 2 for details.
    """
    logger = logging.getLogger(LOGGER)
    logger.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
    if not logger.hasHandlers():  # an application that has its own shows the log there
        logger.addHandler(RichHandler(console=Console(stderr=True), show_path=False, log_time_format="%H:%M:%S"))
