"""RNNSearch, and the LSTM with input feeding."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from conditional import ENDING, UNENDING, answers, each_of, promises, share_reversed
from torch import Tensor
from torch.nn import functional as F
from worlds import same, small_generator

from textgan.core import registry
from textgan.core.errors import UserError
from textgan.data.text import Text, TextSpace
from textgan.models.generators.attention import LuongGenerator, RNNSearchGenerator
from textgan.models.generators.base import AutoregressiveGenerator
from textgan.training.config import make_config

names = pytest.mark.parametrize("name", ["attention", "luong"])
spaces = pytest.mark.parametrize(
    "space", [ENDING, replace(ENDING, classes=2)], ids=["plain", "labelled"]
)
SMALL = {"attention": {"attention": 32}, "luong": {"layers": 1}}


@names
@promises
def test_the_contract_of_conditional_generators(promise: Callable[[str], None], name: str) -> None:
    promise(name)


@names
def test_g8_a_source_is_learned_to_be_written_from_its_end(name: str) -> None:
    settings = SMALL[name] | {"embedding": 32, "hidden": 48, "init": 0.1}
    assert share_reversed(name, 4, 200, **settings) > 0.99


def test_init_0_makes_weights_by_the_size_of_what_they_read() -> None:
    """So that what is made of inputs of variance 1 has variance 1."""
    generator = RNNSearchGenerator(ENDING, embedding=64, hidden=96, attention=80, init=0.0)
    read = {"of_memory": 192, "of_word": 64, "of_new_state": 96, "initial": 192, "output": 64}
    weights = dict(generator.named_parameters())
    for name, inputs in read.items():
        spread = float(weights[f"{name}.weight"].detach().std())
        assert spread == pytest.approx(inputs**-0.5, rel=0.15), name
    assert float(weights["encoder.weight_ih_l0"].detach().std()) == pytest.approx(0.125, rel=0.05)
    assert float(weights["alignment"].detach().std()) == pytest.approx(80**-0.5, rel=0.3)
    for name in ("embedding", "source_embedding"):
        assert float(weights[f"{name}.weight"].detach().std()) == pytest.approx(1.0, rel=0.2)
    assert not generator.of_middle.bias.any()
    with pytest.raises(UserError, match=r"generator\.init = -1: "):
        make_config(
            "mle", {"generator": "attention", "generator.init": -1, "oracle.source_length": 4}
        )


def with_biases(generator: AutoregressiveGenerator) -> dict[str, Tensor]:
    """Its weights by name; no bias is zero, which would hide a mistake."""
    weights = dict(generator.named_parameters())
    for name, weight in weights.items():
        if "bias" in name and weight.requires_grad:
            weight.data = torch.randn_like(weight)
    return weights


def softmax(scores: list[Tensor]) -> list[Tensor]:
    return [score.exp() / sum(other.exp() for other in scores) for score in scores]


def weighted(weights: list[Tensor], vectors: list[Tensor]) -> Tensor:
    total = torch.zeros_like(vectors[0])
    for weight, vector in zip(weights, vectors, strict=True):
        total = total + weight * vector
    return total


def agrees(
    generator: AutoregressiveGenerator,
    texts: Text,
    logits: list[Tensor],
    weights: list[list[Tensor]],
) -> bool:
    """Whether logits and weights of all tokens, one text after the other, are the generator's."""
    assert isinstance(generator, RNNSearchGenerator | LuongGenerator)
    width = generator.weights(texts).shape[2]
    rows = [F.pad(torch.stack(some), (0, width - len(some))) for some in weights]
    return same(generator(texts)[texts.mask], torch.stack(logits)) and same(
        generator.weights(texts)[texts.mask], torch.stack(rows)
    )


@spaces
def test_rnnsearch_is_its_equations(space: TextSpace) -> None:
    E, H, A = 3, 4, 5
    generator = small_generator(space, "attention", embedding=E, hidden=H, attention=A)
    w, texts = with_biases(generator), answers(space)
    W_1, L_y = w["of_word.weight"].split([3 * H, E])
    b_1, b_y = w["of_word.bias"].split([3 * H, E])
    W_a, U_2 = w["of_middle.weight"].split([A, 3 * H])
    b_a, b_2 = w["of_middle.bias"].split([A, 3 * H])
    U_a, W_2, L_c = w["of_memory.weight"].split([A, 3 * H, E])

    def gru(given: Tensor, inner: Tensor, before: Tensor) -> Tensor:
        r = torch.sigmoid(given[:H] + inner[:H])
        z = torch.sigmoid(given[H : 2 * H] + inner[H : 2 * H])
        return z * before + (1 - z) * torch.tanh(given[2 * H :] + r * inner[2 * H :])

    def encoded(words: list[int], way: str) -> list[Tensor]:
        state, states = torch.zeros(H, dtype=torch.float64), []
        for word in words:
            vector = w["source_embedding.weight"][word]
            given = w[f"encoder.weight_ih_l0{way}"] @ vector + w[f"encoder.bias_ih_l0{way}"]
            inner = w[f"encoder.weight_hh_l0{way}"] @ state + w[f"encoder.bias_hh_l0{way}"]
            state = gru(given, inner, state)
            states.append(state)
        return states

    logits, weights = [], []
    for i, words, before in each_of(texts):
        backward = encoded(words[::-1], "_reverse")[::-1]
        h = [torch.cat(both) for both in zip(encoded(words, ""), backward, strict=True)]
        first = w["initial.weight"] @ (weighted([torch.ones(())] * len(h), h) / len(h))
        first = first + w["initial.bias"]
        if space.classes:
            first = first + w["classes.weight"][texts.condition.require_labels(2)[i]]
        s = torch.tanh(first)
        for symbol in before:
            y = w["embedding.weight"][symbol]
            middle = gru(W_1 @ y + b_1, w["of_state.weight"] @ s, s)
            near = [torch.tanh(W_a @ middle + b_a + U_a @ each) for each in h]
            a = softmax([w["alignment"] @ each for each in near])
            c = weighted(a, h)
            s = gru(W_2 @ c, U_2 @ middle + b_2, middle)
            t = torch.tanh(w["of_new_state.weight"] @ s + L_y @ y + b_y + L_c @ c)
            logits.append(w["output.weight"] @ t + w["output.bias"] + generator.forbidden)  # type: ignore[operator]
            weights.append(a)
    assert agrees(generator, texts, logits, weights)


@spaces
def test_luong_is_its_equations(space: TextSpace) -> None:
    H, layers = 4, 2
    generator = small_generator(space, "luong", embedding=3, hidden=H, layers=layers)
    w, texts = dict(generator.named_parameters()), answers(space)
    feed_1, output_1 = w["of_memory.weight"].split(H)

    def lstm(which: str, layer: int, x: Tensor, h: Tensor, c: Tensor, fed: Tensor) -> list[Tensor]:
        gates = (
            w[f"{which}.of_input.{layer}.weight"] @ x + w[f"{which}.of_state.{layer}.weight"] @ h
        )
        i, f, new, o = (gates + fed).split(H)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(new)
        return [torch.sigmoid(o) * torch.tanh(c), c]

    def layers_of(
        which: str, x: Tensor, state: list[list[Tensor]], fed: Tensor
    ) -> list[list[Tensor]]:
        after = []
        for layer, (h, c) in enumerate(state):
            after.append(lstm(which, layer, x, h, c, fed if layer == 0 else zeros))
            x = after[-1][0]
        return after

    zeros = torch.zeros(4 * H, dtype=torch.float64)
    logits, weights = [], []
    for i, words, before in each_of(texts):
        state = [[zeros[:H], zeros[:H]]] * layers
        memory = []
        for word in words:
            state = layers_of("encoder", w["source_embedding.weight"][word], state, zeros)
            memory.append(state[-1][0])
        if space.classes:
            of_class = w["classes.weight"][texts.condition.require_labels(2)[i]].split(H)
            state = [
                [h + of_class[layer], c + of_class[layers + layer]]
                for layer, (h, c) in enumerate(state)
            ]
        for symbol in before:
            q = state[-1][0]
            read = weighted(softmax([h @ q for h in memory]), memory)
            feed = torch.tanh(feed_1 @ read + w["feed_query.weight"] @ q)
            y = w["embedding.weight"][symbol]
            state = layers_of("decoder", y, state, w["of_feed.weight"] @ feed)
            q = state[-1][0]
            a = softmax([h @ q for h in memory])
            t = torch.tanh(output_1 @ weighted(a, memory) + w["output_query.weight"] @ q)
            logits.append(w["output.weight"] @ t + generator.forbidden)  # type: ignore[operator]
            weights.append(a)
    assert agrees(generator, texts, logits, weights)


def test_the_weights_start_as_in_the_codes() -> None:
    space = TextSpace(300, 5, source=TextSpace(400, 5))
    paper = {"embedding": 64, "hidden": 128, "attention": 256, "init": 0.01}
    search = registry.build("generator", "attention", paper, space)
    assert isinstance(search, RNNSearchGenerator)
    recurrent = [search.encoder.weight_hh_l0, search.encoder.weight_hh_l0_reverse]
    recurrent += [search.of_state.weight, search.of_middle.weight[256:]]
    for gate in torch.cat(recurrent).split(128):  # type: ignore[arg-type]
        assert torch.allclose(gate @ gate.t(), torch.eye(128), atol=1e-5)
    for weight in (search.embedding.weight, search.of_word.weight, search.of_middle.weight[:256]):
        assert abs(weight.std().item() - 0.01) < 0.001
    assert not any(part.any() for name, part in search.named_parameters() if "bias" in name)
    luong = registry.build("generator", "luong", {"embedding": 64, "hidden": 64}, space)
    assert isinstance(luong, LuongGenerator)
    for name, weight in luong.named_parameters():
        if "bias" in name:
            assert not weight.any() and not weight.requires_grad
        else:
            assert 0.09 < weight.abs().max() <= 0.1


def test_luong_has_dropout_on_inputs_and_states_and_not_before_the_output() -> None:
    generator = small_generator(UNENDING, "luong", dropout=0.5)
    assert isinstance(generator, LuongGenerator)
    seen: list[tuple[int, ...]] = []
    generator.dropout.register_forward_hook(lambda *hook: seen.append(tuple(hook[2].shape)))
    texts = answers(UNENDING)
    generator(texts)
    n = len(texts)
    source, steps, layers = 2, 3, 2
    states = [(n, 4)] * (source * (2 * layers - 1) + steps * (2 * layers - 1))
    assert sorted(seen) == sorted([(n, source, 3), (n, steps, 3), *states, *[(n, 4)] * steps])
