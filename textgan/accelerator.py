"""What differs where the work is done by a device that runs ahead of its host.

A GPU queues what it is given. To look at one of its numbers, or to make a tensor whose size depends
on them, the host has to wait until the queue is empty, and then the device waits for the host. So
loops over time steps ask nothing: there every text goes on to the last position, and what it writes
after its end is cut off once, when the loop is over.
"""

from __future__ import annotations

from torch import Tensor


def waits(tensor: Tensor) -> bool:
    """Whether the host would have to wait for a number of this tensor."""
    return tensor.device.type != "cpu"
