"""Ready coffea processors, to use as they are or to copy from."""

import sys

import cloudpickle

# Remote workers have no checkout: they get the code of this package with the processor.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
