"""Files of tensors come back whole, or are refused by name."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from textgan.core.errors import UserError
from textgan.core.tensors import (
    digest,
    load_tensors,
    read_facts,
    restore_module,
    save_tensors,
    under_prefix,
    with_prefix,
)

TENSORS = {
    "floats": torch.tensor([[1.5, -0.0], [float("inf"), float("nan")]], dtype=torch.float64),
    "ids": torch.arange(6).view(2, 3).t(),  # whose memory is in another order
    "flags": torch.tensor([True, False]),
    "nothing": torch.empty(0, 4),
    "number": torch.tensor(3, dtype=torch.int8),
}
FACTS = {"step": 3, "names": ["a", "é"], "inner": {"share": 0.5, "none": None}}


def test_tensors_and_facts_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, TENSORS, FACTS)
    tensors, facts = load_tensors(path)
    assert facts == read_facts(path) == FACTS
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and tensors[name].shape == tensor.shape
    assert digest(tensors) == digest(TENSORS)
    first = path.read_bytes()
    save_tensors(path, dict(reversed(TENSORS.items())), dict(reversed(FACTS.items())))
    assert path.read_bytes() == first  # equal states are equal bytes


def test_a_digest_is_of_names_types_shapes_values_and_header() -> None:
    tensor = torch.tensor([1, 2])
    others = [
        digest({"b": tensor}),
        digest({"a": tensor.float()}),
        digest({"a": tensor.view(2, 1)}),
        digest({"a": tensor + 1}),
        digest({"a": tensor}, "x"),
        digest({}),
        digest({"a": tensor, "b": tensor}),
    ]
    assert len({digest({"a": tensor}), *others}) == 8
    assert digest({"a": tensor, "b": tensor + 1}) == digest({"b": tensor + 1, "a": tensor})


@pytest.mark.parametrize("at", ["header", "tensor", "end"])
def test_one_changed_byte_is_noticed(at: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.arange(4)}, {"step": 3})
    content = path.read_bytes()
    if at == "header":
        changed = content.replace(b'step\\\\\\": 3', b'step\\\\\\": 4')
        assert changed != content
    else:
        changed = content[:-1] + (b"\1" if at == "tensor" else b"")
    path.write_bytes(changed)
    message = (
        r"is damaged .*restore it from a copy"
        if at == "end"
        else "was altered after it was written"
    )
    with pytest.raises(UserError, match=f"{re.escape(str(path))}.*{message}"):
        load_tensors(path)


def test_files_without_facts_of_ours_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for read in (load_tensors, read_facts):
        with pytest.raises(UserError, match=re.escape(str(path))):
            read(path)
        save_file({"a": torch.zeros(2)}, path)
        with pytest.raises(UserError, match=re.escape(str(path))):
            read(path)
        path.unlink()


def test_prefixes_are_put_before_names_and_taken_off() -> None:
    one, other = {"a": torch.zeros(1)}, {"a.b": torch.ones(1)}
    both = with_prefix("one", one) | with_prefix("one_other", other)
    assert list(both) == ["one.a", "one_other.a.b"]
    assert under_prefix("one", both).keys() == one.keys()
    assert under_prefix("one_other", both).keys() == other.keys()
    assert under_prefix("on", both) == {}


def test_weights_of_another_network_name_their_file() -> None:
    network, other = nn.Linear(2, 3), nn.Linear(2, 3)
    restore_module(network, other.state_dict(), Path("run/mle.safetensors"))
    assert torch.equal(network.weight, other.weight)
    for wrong in (nn.Linear(3, 3), nn.Linear(2, 3, bias=False)):
        with pytest.raises(UserError, match=r"^run/mle\.safetensors does not fit Linear: ") as no:
            restore_module(network, wrong.state_dict(), Path("run/mle.safetensors"))
        assert "\n" not in str(no.value)


def test_headers_of_safetensors_that_are_no_table_are_one_line(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    for told in ("[]", "3", "[" * 100_000, '{"facts": 3}', '{"digest": [], "facts": "[]"}'):
        save_file({"a": torch.zeros(1)}, path, {"textgan": told})
        with pytest.raises(UserError, match=r"x\.safetensors"):
            load_tensors(path)
