"""Adversarial training at the level of embeddings: train through the vectors that hurt most.

A perturbation is a `Backward`: it calls the closure of a loss several times, with what a network's
embedding reads out shifted, and leaves the gradient of all that in the network. So any network with
an embedding can be trained with it, and no objective knows of it:

    perturbation = FGM(epsilon=1.0)
    for batch in batches:
        optimiser.zero_grad()
        perturbation(network, lambda: (loss_of(network, batch), {}))
        optimiser.step()

VAT and SMART compare the network's outputs: their third argument is a closure of its logits (N, C).
FreeAT wants each batch `replays` times in a row. Where `is_stateful`, a checkpoint must keep
`state`: the averaged weights of SMART, the shifts of FreeAT.
"""

from textgan.perturb.base import Perturbation, perturbation
from textgan.perturb.fgm import FGM, FGSM, OneStep
from textgan.perturb.free_at import FreeAT
from textgan.perturb.freelb import FreeLB
from textgan.perturb.pgd import PGD
from textgan.perturb.smart import SMART
from textgan.perturb.vat import VAT
from textgan.perturb.yopo import YOPO

__all__ = [
    "FGM",
    "FGSM",
    "PGD",
    "SMART",
    "VAT",
    "YOPO",
    "FreeAT",
    "FreeLB",
    "OneStep",
    "Perturbation",
    "perturbation",
]
