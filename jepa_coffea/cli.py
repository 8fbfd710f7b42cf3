"""The command ``jepa-coffea``: a table of subcommands, of which only the one that runs is imported."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from jepa_coffea.errors import JepaCoffeaError

COMMANDS = {
    "embed": ("embed the events that a YAML document names", "jepa_coffea.commands.embed"),
    "hunt": ("look for bumps as a YAML document says, and say what was found", "jepa_coffea.commands.hunt"),
    "inspect": ("print what a model file says of itself", "jepa_coffea.commands.inspect"),
    "report": ("write the report of a finished hunt again", "jepa_coffea.commands.report"),
    "validate": ("replay a model's reference jets, and embed the jets of a file", "jepa_coffea.commands.validate"),
}
"""Name to help and module; the module has ``configure(parser)`` and ``run(arguments) -> exit status``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; its exit status, or 2 for a mistake that its message explains."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="jepa-coffea", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    run = None
    for name, (text, module) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if words[:1] == [name]:
            chosen = importlib.import_module(module)
            chosen.configure(command)
            run = chosen.run
    parsed = parser.parse_args(words)
    assert run is not None  # parse_args exits unless the first word is a command
    try:
        return int(run(parsed))
    except JepaCoffeaError as error:
        print(f"jepa-coffea {parsed.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
