"""Torch as a guest of a server: few threads that sleep when idle, and short waits for the interpreter.

`prepare_torch` must run before anything imports torch: OpenMP reads its wait policy when it is loaded. Hence this
module imports torch only inside of the function.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys

# OpenMP threads that spin at barriers starve the server's own thread on a small machine.
_QUIET_OPENMP = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}
# How long a thread that loads a model may keep the interpreter from the one that answers, at a time; the default is
# 5 ms, and a token crosses between the decoding thread and the event loop several times.
_SWITCH_INTERVAL_S = 0.001


def prepare_torch(threads: int) -> int:
    """Import torch and transformers with `threads` threads (0: cores available minus one) and return the count."""
    for name, value in _QUIET_OPENMP.items():
        os.environ.setdefault(name, value)
    import torch
    from transformers.utils import logging as transformers_logging

    # Progress bars of loading belong to a terminal, not to a server's log; nor does how each cache was laid out.
    transformers_logging.disable_progress_bar()
    # One way for all logs: its own handler would write past the structured ones.
    transformers_logging.disable_default_handler()
    transformers_logging.enable_propagation()
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.WARNING)
    # A text that is too long is refused, with the limit, to the caller: no line for the operator.
    logging.getLogger("transformers.tokenization_utils_base").setLevel(logging.ERROR)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    count = threads or max(1, len(os.sched_getaffinity(0)) - 1)
    torch.set_num_threads(count)
    return count


def spare_the_collector() -> None:
    """Put all that is alive now, chiefly what imports made, out of the garbage collector's sight.

    Freeing a model takes full collections, and each would walk those hundred thousand objects while requests wait:
    50 ms instead of less than 1 ms. To be called once, after the imports and before the first model is loaded.
    """
    gc.collect()
    gc.freeze()
    # At exit the collector has to see them again, or C++ extensions report them as leaked.
    atexit.register(gc.unfreeze)
