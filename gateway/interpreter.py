"""How the Python interpreter of a running gateway is set: measured choices, the same in the product and the benches."""

import gc
import sys


def share_time() -> None:
    """The event loop and the writer threads change places often: 5 ms of the default is many requests' time."""
    sys.setswitchinterval(0.001)


def settle() -> None:
    """What start-up made stays: the collector need not look at it again.

    A message makes hundreds of small trees without cycles; looking at them every 700 objects finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
