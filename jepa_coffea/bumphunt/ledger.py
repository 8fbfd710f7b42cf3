"""A log of finished work, so that an interruption costs little: pseudo-experiments, toys, studies."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jepa_coffea.errors import BadFileError
from jepa_coffea.files import sealed_line, unsealed_line, write_text, writing
from jepa_coffea.tasks import run_tasks


class Ledger:
    """Results by key, one JSON line with its hash each, appended as they come; in memory only when there is no file.

    A line cut short by an interruption is left out and its work done again. Whoever names the file puts everything
    into the name that would change the results, the package's version included: see :func:`jepa_coffea.files.digest`.

    Parameters
    ----------
    path
        The file; its folder is made. None keeps results in memory.

    Raises
    ------
    BadFileError
        If a line is damaged, other than by an interruption of the last.

    Examples
    --------
    >>> ledger = Ledger(None)
    >>> ledger.add("17", [0.3, 1.2])
    >>> "17" in ledger, ledger["17"]
    (True, [0.3, 1.2])
    >>> ledger.run(float, [17, 18])  # 17 is known already
    [[0.3, 1.2], 18.0]
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._entries: dict[str, Any] = {}
        if path is None or not path.is_file():
            return
        # Bytes that are no text stay what they are, for the hash to find.
        whole = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
        for number, line in enumerate(whole, 1):
            if not line:
                continue
            try:
                key, value = json.loads(unsealed_line(line, f"line {number} of {path}"))
            except (ValueError, TypeError) as error:
                if number == len(whole):
                    # The last line has no end: the interruption fell into it. Without it, appending starts a new line.
                    write_text(path, "\n".join(whole[:-1]) + ("\n" if whole[:-1] and whole[-2] else ""))
                    return
                msg = f"{error}; delete the file to do its work again"
                raise BadFileError(msg) from None
            self._entries[key] = value
        if whole[-1]:  # the interruption fell between the line and its end
            write_text(path, "\n".join([*whole, ""]))

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __getitem__(self, key: str) -> Any:
        return self._entries[key]

    def add(self, key: str, value: Any) -> None:
        """Keep a result; it is in the file when this returns.

        Parameters
        ----------
        key
            What the result is of.
        value
            What JSON can say; NaN and infinities are kept.

        Raises
        ------
        StorageError
            If the disk is full or must not be written.
        """
        self._entries[key] = value
        if self.path is not None:
            with writing(self.path), self.path.open("a", encoding="utf-8") as file:
                file.write(sealed_line(json.dumps([key, value])) + "\n")

    def run(
        self,
        function: Callable[..., Any],
        tasks: Sequence[Any],
        shared: Sequence[Any] = (),
        *,
        key: Callable[[Any], str] = str,
        **execution: Any,
    ) -> list[Any]:
        """Results of tasks; those that are not there yet are done, and kept as each one ends.

        Parameters
        ----------
        function, tasks, shared
            As for :func:`~jepa_coffea.tasks.run_tasks`; results are what JSON can say.
        key
            Gives the key of a task.
        **execution
            ``client``, ``progress``, ``description`` and ``unit`` of :func:`~jepa_coffea.tasks.run_tasks`.

        Returns
        -------
        list
            In the order of the tasks.
        """
        keys = [key(task) for task in tasks]
        missing = {name: task for name, task in zip(keys, tasks, strict=True) if name not in self}
        names = list(missing)
        run_tasks(
            function,
            list(missing.values()),
            shared,
            done=lambda number, result: self.add(names[number], result),
            **execution,
        )
        return [self[name] for name in keys]
