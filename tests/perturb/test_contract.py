"""Perturbations in files of one's own are tried before a run begins."""

from pathlib import Path

from parts import ONE, WritePart
from toys import Cli, refused


def test_a_perturbation_of_ones_own_is_tried(write_part: WritePart, cli: Cli) -> None:
    head = (
        "\n@dataclass(kw_only=True)\nclass Mine(Perturbation):\n"
        "    def __call__(self, network, loss, outputs=None, scale=1.0, /):\n        "
    )
    command = ["--out", "run", *ONE]
    for body, expected in (
        ("value, metrics = loss(); value.backward(); return value.detach(), metrics", ""),
        ("loss()[0].backward(); return loss()[0]", "mine.py:Mine.__call__ returned a Tensor"),
        ("value, metrics = loss(); return value, metrics", "left no gradient in the network"),
        (
            "value, metrics = loss(); value.backward(); "
            "network.output.weight.data += 1; return value, metrics",
            "mine.py:Mine.__call__ changed the weight output.weight",
        ),
    ):
        Path("run").exists() and __import__("shutil").rmtree("run")
        name = f"mine{abs(hash(body))}.py"
        write_part("", head + body, name=name)
        arguments = ["train", "reinforce", *command, f"discriminator.perturb={name}:Mine"]
        if not expected:
            code, _, err = cli(*arguments)
            assert code == 0, err
        else:
            assert expected.replace("mine.py", name) in refused(cli, *arguments)


def test_a_perturbation_with_names_of_version_0_1_is_heeded(
    write_part: WritePart, cli: Cli
) -> None:
    head = "\nfrom textgan.perturb.base import Passes\nclass Mine(Perturbation):\n"
    call = "    def __call__(self, network, loss, outputs=None, scale=1.0, /): Passes\n"
    write_part("", f"{head}{call}    keeps = True\n")
    arguments = ["--out", "run", "discriminator.perturb=mine.py:Mine"]
    assert "Mine.__call__ returned None" in refused(cli, "train", "reinforce", *arguments)
    line = refused(cli, "train", "reinforce", *arguments, "schedule.shards=2")
    assert "remembers what it did to a batch" in line or "shards" in line
