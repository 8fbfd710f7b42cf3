"""The command ``jepa-coffea``: a table of sub-commands, of which only the one that runs is imported."""

from __future__ import annotations

import argparse
import importlib
import logging
import signal
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from jepa_coffea import __version__
from jepa_coffea.commands.command_line import Parser, add_verbose
from jepa_coffea.errors import JepaCoffeaError, did_you_mean
from jepa_coffea.files import printable, storage_problem

log = logging.getLogger(__name__)

COMMANDS = {
    "doctor": ("say what is installed, what is missing, and whether a model runs here", "jepa_coffea.commands.doctor"),
    "embed": ("embed the events that a YAML document names", "jepa_coffea.commands.embed"),
    "hunt": ("look for bumps as a YAML document says, and say what was found", "jepa_coffea.commands.hunt"),
    "inspect": ("print what a model file says of itself", "jepa_coffea.commands.inspect"),
    "models": ("list the models that are shipped, and what each reaches", "jepa_coffea.commands.models"),
    "report": ("write the report of a finished hunt again", "jepa_coffea.commands.report"),
    "validate": ("replay a model's reference jets, and embed the jets of a file", "jepa_coffea.commands.validate"),
    "wrap": ("make an encoder file of another project's ONNX model", "jepa_coffea.commands.wrap"),
}
"""Name to help and module; the module has ``configure(parser)`` and ``run(arguments) -> exit status``."""

EXTRA = {"hunt": "hunt", "report": "hunt"}
"""Sub-command to the extra without which it cannot be imported."""

INTERRUPTED = 128 + signal.SIGINT
"""Exit status after Ctrl-C, as of a shell."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command.

    Parameters
    ----------
    arguments
        Words of the command line; default: those of this process.

    Returns
    -------
    int
        Exit status of the sub-command; 2 for a mistake or fault that its message explains; 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser, commands = _parsers()
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        parser.error(f"no command {words[0]!r}; {did_you_mean(words[0], COMMANDS)}")
    run = None
    for name in [name for name in COMMANDS if words[:1] == [name]]:
        try:
            module = _configured(name, commands[name])
        except ModuleNotFoundError as error:
            return _say(name, _missing(name, error))
        run = module.run
    parsed = parser.parse_args(words)
    assert run is not None  # parse_args exits unless the first word is a command
    log.debug("jepa-coffea %s, %s", __version__, parsed)
    try:
        return int(run(parsed))
    except JepaCoffeaError as error:
        return _say(parsed.command, str(error))
    except ModuleNotFoundError as error:
        return _say(parsed.command, _missing(parsed.command, error))
    except KeyboardInterrupt:
        _say(parsed.command, "stopped by Ctrl-C; what is finished is kept, and the same command goes on from there")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the output has left; Python would complain once more at the end
        return 128 + signal.SIGPIPE
    except OSError as error:
        problem = storage_problem(error, None)
        if problem is None:
            raise
        return _say(parsed.command, problem)


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser, and those of the sub-commands, which know no arguments yet."""
    parser = Parser(
        prog="jepa-coffea",
        description="Embed jets with a model file, and hunt for bumps with what it sees.",
        epilog="jepa-coffea COMMAND --help explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"jepa-coffea {__version__}")
    parser.add_argument(
        "--print-completion",
        choices=("bash", "zsh", "tcsh"),
        action=_Completion,
        help="print the completion script of a shell, and stop",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    return parser, {
        name: commands.add_parser(name, help=text, description=text) for name, (text, _) in COMMANDS.items()
    }


def _configured(name: str, parser: argparse.ArgumentParser) -> ModuleType:
    """The module of a sub-command, which has told the parser its arguments."""
    module = importlib.import_module(COMMANDS[name][1])
    module.configure(parser)
    add_verbose(parser)
    return module


class _Completion(argparse.Action):
    """Print what a shell has to know: all sub-commands that can be imported here, with their options and files."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None) -> None:  # noqa: ARG002
        import shtab

        whole, commands = _parsers()
        for name, command in commands.items():
            try:
                _configured(name, command)
            except ModuleNotFoundError as error:
                _missing(name, error)
            for action in command._actions:
                if action.choices is None and action.nargs != 0 and action.type not in (int, float):
                    action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's way
        print(shtab.complete(whole, shell=values))
        parser.exit()


def _say(command: str, text: str) -> int:
    # What hunts say in Python begins with "hunt: " as well.
    print(f"jepa-coffea {command}: {printable(text.removeprefix(f'{command}: '))}", file=sys.stderr)
    return 2


def _missing(command: str, error: ModuleNotFoundError) -> str:
    """A package that an extra would have brought; anything else is a bug, and raised."""
    package = str(error.name).partition(".")[0]
    if package == "jepa_coffea" or command not in EXTRA:
        raise error
    return f"needs the package {package}, which is not installed: pip install 'jepa-coffea[{EXTRA[command]}]'"


if __name__ == "__main__":
    raise SystemExit(main())
