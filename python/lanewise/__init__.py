"""Lovász-Softmax and its relatives for NumPy; lanewise.torch has them for PyTorch.

The losses are computed by a process that this package starts, on all CPUs, in float32, without Go or anything else in this process.
"""

from ._numpy import Confusion, LovaszCounts, Result, lovasz_hinge, lovasz_softmax
from ._options import set_num_threads
from ._worker import WorkerError, shutdown

__all__ = ["Confusion", "LovaszCounts", "Result", "WorkerError", "lovasz_hinge", "lovasz_softmax", "set_num_threads", "shutdown"]
__version__ = "0.1.0"
