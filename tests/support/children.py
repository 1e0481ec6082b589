"""Child processes that train, and do not begin with imports."""

from multiprocessing import get_context
from multiprocessing.context import ForkServerContext

# the last is torch's compiler: every optimiser imports it, which takes a second
USED = ["textgan.training.trainer", "torch.utils.tensorboard", "torch._dynamo"]


def forkserver() -> ForkServerContext:
    """Forks of a process that has imported what training uses."""
    context = get_context("forkserver")
    context.set_forkserver_preload(USED)
    return context
