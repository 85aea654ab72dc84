"""Torch as a guest of a server: few threads that sleep when idle, and cheap garbage collection.

`prepare_torch` must run before anything imports torch: OpenMP reads its wait policy when it is loaded. Hence this
module imports torch only inside of the function.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os

# OpenMP threads that spin at barriers starve the server's own thread on a small machine.
_QUIET_OPENMP = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}


def prepare_torch(threads: int) -> int:
    """Import torch and transformers with `threads` threads (0: cores available minus one) and return the count.

    All objects alive afterwards are put out of the collector's sight (`gc.freeze`): a full collection, which
    freeing a model needs, would otherwise walk a million objects of the imports while requests wait.
    """
    for name, value in _QUIET_OPENMP.items():
        os.environ.setdefault(name, value)
    import torch
    import transformers.generation.continuous_batching  # noqa: F401 - loaded now, before the freeze
    from transformers.utils import logging as transformers_logging

    # Progress bars of loading belong to a terminal, not to a server's log; nor does how each cache was laid out.
    transformers_logging.disable_progress_bar()
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.WARNING)
    count = threads or max(1, len(os.sched_getaffinity(0)) - 1)
    torch.set_num_threads(count)
    gc.collect()
    gc.freeze()
    # At exit the collector has to see them again, or C++ extensions report them as leaked.
    atexit.register(gc.unfreeze)
    return count
