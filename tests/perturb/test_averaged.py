"""The average of weights."""

import torch
from perturbed import (
    Net,
    agree,
)
from torch import nn

from textgan.perturb.smart import SMART


def test_an_average_decays_by_beta() -> None:
    """From weights 1 to weights 0: beta^n after n updates with them."""
    network = Net()
    made = SMART(mu=1.0, beta=0.9, beta_later=0.5, early=4)
    for weight in network.parameters():
        nn.init.ones_(weight)
    made(network, network.loss(), network.outputs())
    for weight in network.parameters():
        nn.init.zeros_(weight)
    wanted = 1.0
    for n, beta in enumerate([0.9] * 3 + [0.5] * 3, start=2):
        wanted *= beta
        made(network, network.loss(), network.outputs())
        for name, tensor in made.state.items():
            if name != "updates":
                agree(tensor, torch.full_like(tensor, wanted))
        assert int(made.state["updates"]) == n
