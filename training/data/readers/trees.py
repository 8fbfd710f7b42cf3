"""ROOT trees that are opened when they are needed: a run may know ten thousand files and have few of them open."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, ClassVar

import numpy as np
import uproot
from numpy.typing import NDArray

from jepa_coffea.errors import BadFileError

MOST_OPEN = 64
"""Trees that are kept open; the one that was not used for longest is let go."""


def open_file(path: str) -> Any:
    """Open a ROOT file, mapped into memory when it is local, without the caches of uproot.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    uproot.ReadOnlyDirectory
    """
    options = {} if "://" in path else {"handler": uproot.MemmapSource}
    return uproot.open(path, array_cache=None, object_cache=None, **options)


def tree_name(path: str, names: tuple[str, ...]) -> str:
    """The tree to read of a file.

    Parameters
    ----------
    path
        The file.
    names
        Names to look for, the first one first.

    Returns
    -------
    str

    Raises
    ------
    BadFileError
        If none is.
    """
    with open_file(path) as file:
        found = file.keys(cycle=False, recursive=False)
    for name in names:
        if name in found:
            return name
    msg = (
        f"{path}: no tree of jets or events, expected one of {', '.join(names)}; found {', '.join(found) or 'nothing'}"
    )
    raise BadFileError(msg)


def edges_of(tree: Any) -> NDArray[np.int64]:
    """Entries between which a tree can be read at no extra cost.

    Parameters
    ----------
    tree
        TTree or RNTuple.

    Returns
    -------
    ndarray
        int64, 0 first, the number of entries last, ascending.
    """
    if isinstance(tree, uproot.TTree):
        return np.asarray(tree.common_entry_offsets(), np.int64)
    return np.cumsum([0, *(cluster.num_entries for cluster in tree.cluster_summaries)], dtype=np.int64)


class LazyTree:
    """A tree that is opened when it is needed.

    Parameters
    ----------
    path
        The file.
    name
        Name of the tree.
    """

    _open: ClassVar[OrderedDict[LazyTree, Any]] = OrderedDict()
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: str, name: str) -> None:
        self.path, self.name = path, name

    def get(self) -> Any:
        """The tree, opened if it is not; what is let go is closed when the last thread is done with it.

        Returns
        -------
        uproot.TTree
        """
        with self._lock:
            tree = self._open.get(self)
            if tree is None:
                tree = self._open[self] = open_file(self.path)[self.name]
            self._open.move_to_end(self)
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        return tree
