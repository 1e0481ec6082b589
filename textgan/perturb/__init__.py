"""Adversarial training at the level of embeddings: train through the vectors that hurt most.

A perturbation is a `Backward`: it calls the closure of a loss several times, with what a network's
embedding reads out shifted, and leaves the gradient of all that in the network. So any network with
an embedding can be trained with it, and no objective knows of it:

    perturbation = FGM(epsilon=1.0)
    for batch in batches:
        optimiser.zero_grad()
        perturbation(network, lambda: (loss_of(network, batch), {}))
        optimiser.step()
"""

from textgan.perturb.base import Perturbation, perturbation
from textgan.perturb.fgm import FGM, FGSM
from textgan.perturb.pgd import PGD

__all__ = ["FGM", "FGSM", "PGD", "Perturbation", "perturbation"]
