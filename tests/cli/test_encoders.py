"""textgan encode, similarity and classify."""

import json
from pathlib import Path

import pytest
from classified import ONE_EPOCH, TROUBLES
from toys import Cli, refused


def test_json(reviews: Path, cli: Cli) -> None:
    flags = [*ONE_EPOCH, "--seeds", 2, "--perturb", "fgm", "--json"]
    code, out, err = cli("classify", reviews, *flags)
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert list(result) == ["facts", "runs", "accuracies", "differences", "times"]
    assert len(result["runs"]) == 4
    assert list(result["accuracies"]["fgm"]) == TROUBLES
    assert list(result["differences"]) == ["fgm"]
    assert {"value", "low", "high", "significant"} == result["differences"]["fgm"]["clean"].keys()
    assert result["facts"]["data"]["split"] == {"train": 56, "valid": 8, "test": 16}
    assert result["times"]["none"]["value"] == 1.0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--perturb", "fmg"], "did you mean 'fgm'?"),
        (["--perturb", "fgm(epsilon=-1.0)"], "epsilon = -1.0"),
        (["--perturb", "fgm(epsilon=1.0"], "fgm(epsilon=1.0"),
        (["--network", "cnnn"], "did you mean 'cnn'?"),
        (["--network", "hf:nowhere"], "nowhere"),
        (["network.hiden=3"], "network.hiden is not a setting"),
        (["network=rnn"], "network is no setting; give it as an option"),
        (["epoch=3"], "epoch is not a setting; did you mean 'epochs'?"),
        (["attack.epsilons=3"], "attack.epsilons is not a setting; did you mean 'epsilon'?"),
        (["attack.epsilon=-1"], "attack.epsilon.0 = -1"),
        (["attack.epsilon=[]"], "attack.epsilon = []"),
        (["attack=3"], "attack = 3"),
        (["lr=0"], "lr = 0"),
        (["lr=1", "lr.x=2"], "lr is a value, not a group"),
        (["noise.kind=loud"], "noise.kind.0 = 'loud'"),
        (["noise.rate=1.5"], "noise.rate.0 = 1.5"),
        (["data.test=0"], "data.test = 0"),
        (["data.test=0.95"], "too few"),
        (["epochs"], "is not of the form key=value"),
        (["--keep"], "give --out FOLDER, too"),
        (["--device", "abacus"], "device = 'abacus' is unknown"),
        (["--seeds", "0"], "seeds = 0: give a whole number from 1"),
    ],
)
def test_what_cannot_be_is_refused(flags: list[str], message: str, reviews: Path, cli: Cli) -> None:
    assert message in refused(cli, "classify", reviews, *flags)


def test_a_file_that_is_not_there(tmp_path: Path, cli: Cli) -> None:
    assert "there is no such file" in refused(cli, "classify", tmp_path / "none.tsv")
