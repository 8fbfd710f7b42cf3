"""These tests need dask-awkward, whose dask excludes that of dask-cuda: `make test-dask-awkward` has an environment."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("dask_awkward") else ["*"]
