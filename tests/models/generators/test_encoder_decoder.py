"""The transformer that answers a source."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conditional import ENDING, answers, each_of, promises, share_reversed
from torch import Tensor
from torch.nn import functional as F
from worlds import gradient, log_probs, same, small_generator

from textgan.core.errors import UserError
from textgan.core.tensors import load_tensors, save_tensors
from textgan.data.text import TextSpace
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.models.generators.encoder_decoder import EncoderDecoderGenerator
from textgan.models.rollout import rollout_bytes

spaces = pytest.mark.parametrize(
    "space", [ENDING, replace(ENDING, classes=2)], ids=["plain", "labelled"]
)


def small(space: TextSpace = ENDING, **settings: object) -> EncoderDecoderGenerator:
    generator = small_generator(space, "encoder_decoder", **settings)
    assert isinstance(generator, EncoderDecoderGenerator)
    return generator


@promises
def test_the_contract_of_conditional_generators(promise: Callable[[str], None]) -> None:
    promise("encoder_decoder")


def test_g8_a_source_is_learned_to_be_written_from_its_end() -> None:
    settings = {"embedding": 32, "layers": 1, "dropout": 0.0}
    assert share_reversed("encoder_decoder", 4, 200, **settings) > 0.99


@spaces
def test_it_is_its_equations(space: TextSpace) -> None:
    E, A, layers = 6, 2, 2
    generator = small(space, embedding=E, heads=A, layers=layers, feedforward=5)
    w, texts = dict(generator.named_parameters()), answers(space)
    for name, weight in w.items():  # zeros and ones would hide a mistake
        if "bias" in name or "norm" in name:
            weight.data += 0.5 * torch.randn_like(weight)

    def layer(name: str, x: Tensor) -> Tensor:
        return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        x = x - x.mean()
        return x / (x.square().mean() + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    def attention(query: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
        read = []
        for head in range(A):
            part = slice(head * E // A, (head + 1) * E // A)
            scores = [torch.exp(query[part] @ key[part] / math.sqrt(E // A)) for key in keys]
            shares = [score / sum(scores) for score in scores]
            parts = [share * value[part] for share, value in zip(shares, values, strict=True)]
            read.append(torch.stack(parts).sum(0))
        return torch.cat(read)

    def inner(block: str, x: Tensor) -> Tensor:
        return layer(
            f"{block}.layers.2", F.gelu(layer(f"{block}.layers.0", norm(f"{block}.last_norm", x)))
        )

    def place(position: int) -> Tensor:
        angles = [position / 10_000 ** (2 * pair / E) for pair in range(E // 2)]
        waves = [wave for angle in angles for wave in (math.sin(angle), math.cos(angle))]
        return torch.tensor(waves).double()

    logits = []
    for i, words, before in each_of(texts):
        states = [
            math.sqrt(E) * w["source_embedding.weight"][word] + place(at)
            for at, word in enumerate(words)
        ]
        if space.classes:
            states = [x + w["classes.weight"][texts.condition.require_labels(2)[i]] for x in states]
        for number in range(layers):
            block = f"encoder.{number}"
            looks = [layer(f"{block}.looks", norm(f"{block}.norm", x)).split(E) for x in states]
            keys, values = [k for _, k, _ in looks], [v for _, _, v in looks]
            states = [
                x + layer(f"{block}.joins", attention(query, keys, values))
                for x, (query, _, _) in zip(states, looks, strict=True)
            ]
            states = [x + inner(block, x) for x in states]
        memory = [norm("encoder_norm", x) for x in states]
        past: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in range(layers)]
        for at, symbol in enumerate(before):
            x = math.sqrt(E) * w["embedding.weight"][symbol] + place(at)
            for number in range(layers):
                block = f"decoder.{number}"
                query, key, value = layer(f"{block}.looks", norm(f"{block}.norm", x)).split(E)
                past[number][0].append(key)
                past[number][1].append(value)
                x = x + layer(f"{block}.own_joins", attention(query, *past[number]))
                query = layer(f"{block}.asks", norm(f"{block}.source_norm", x))
                pairs = [layer(f"{block}.of_source", h).split(E) for h in memory]
                read = attention(query, [k for k, _ in pairs], [v for _, v in pairs])
                x = x + layer(f"{block}.joins", read)
                x = x + inner(block, x)
            logits.append(layer("output", norm("decoder_norm", x)) + generator.forbidden)
    assert same(generator(texts)[texts.mask], torch.stack(logits))


def test_the_table_may_be_the_output_layer_too(tmp_path: Path) -> None:
    tied, plain, texts = small(tied=True), small(), answers(ENDING)
    sizes = [sum(weight.numel() for weight in one.parameters()) for one in (plain, tied)]
    assert sizes[0] - sizes[1] == plain.output.weight.numel()
    plain.load_state_dict(tied.state_dict() | {"output.weight": tied.embedding.weight})
    assert same(tied(texts), plain(texts))
    log_probs(tied, texts).sum().backward()
    log_probs(plain, texts).sum().backward()
    whole = plain.embedding.weight.grad + plain.output.weight.grad  # type: ignore[operator]
    assert same(tied.embedding.weight.grad, whole)  # type: ignore[arg-type]
    # stored once, and a copy is tied to itself
    save_tensors(tmp_path / "weights", tied.state_dict(), {})
    copy = deepcopy(tied)
    copy.load_state_dict(load_tensors(tmp_path / "weights")[0])
    copy.embedding.weight.data.zero_()
    assert not copy.output.weight.any()
    assert tied.output.weight.any()


def test_learned_positions_begin_as_the_others_are() -> None:
    learned, fixed, texts = small(positions="learned"), small(), answers(ENDING)
    assert same(learned(texts), fixed(texts))
    assert "places" not in fixed.state_dict()
    log_probs(learned, texts).sum().backward()
    for places in (learned.places, learned.source_places):
        assert places.grad is not None and places.grad.any()


def test_heads_divide_the_size() -> None:
    with pytest.raises(UserError, match="encoder_decoder: embedding = 6 is not divisible"):
        small(embedding=6, heads=4)


def test_the_memory_forecast_knows_how_the_state_grows() -> None:
    generator: AutoregressiveGenerator = small(layers=2).train()
    sources = answers(ENDING).condition[:1]
    state, symbol = generator.start(1, sources), torch.tensor([0])
    for _ in range(ENDING.length):
        _, state = generator.read(symbol, state)
    carried = sum(part.numel() for part in state.carried)
    assert carried == 2 * 2 * 4 * ENDING.length
    before = torch.get_rng_state()
    few, many = (rollout_bytes(generator, 8, n, 0, 100) for n in (10, 20))
    assert torch.equal(torch.get_rng_state(), before)
    each = 8 * (2 * carried + 2 * 100 + 3 * ENDING.vocabulary + 2 * ENDING.length)
    # and what a step makes besides
    assert 1 < (many - few) / (8 * 10 * (ENDING.length - 1) * each) < 4
    assert gradient(log_probs(generator, answers(ENDING)).sum(), generator).any()
