"""textgan classify: what it learns, the same twice, nothing lost, and what it says."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny
from torch.optim.optimizer import register_optimizer_step_post_hook
from toys import Cli, refused

from textgan.classifiers.classifier import load_classifier
from textgan.classifiers.config import ClassifierConfig
from textgan.classifiers.data import read_classifier_data
from textgan.classifiers.results import FILE, Classification
from textgan.classifiers.train import classify, split_names
from textgan.classifiers.trainer import ClassifierTrainer
from textgan.core import registry
from textgan.core.errors import UserError
from textgan.core.settings import make_settings
from textgan.data.text import Text
from textgan.models.discriminators.cnn import CNNDiscriminator

SMALL: dict[str, Any] = {
    "network.embedding": 8,
    "network.sizes": [1, 2],
    "network.counts": [6, 6],
    "network.highway": False,
    "batch": 8,
    "lr": 0.02,
    "epochs": 6,
    "attack.epsilon": [0.0, 0.3],
    "attack.steps": 2,
    "noise.rate": [0.0, 0.3],
    "noise.kind": ["drop", "typo"],
}
FLAGS = [f"{key}={json.dumps(value)}" for key, value in SMALL.items()]
FLAGS += ["--network", "cnn"]
TROUBLES = ["clean", "attack 0", "attack 0.3", "drop 0", "drop 0.3", "typo 0", "typo 0.3"]


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 sentences of which one word tells the label."""
    tells = {"good": ["fine", "lovely", "great"], "bad": ["dull", "awful", "poor"]}
    rest = ["the", "film", "a", "story", "plot", "with", "and", "its"]
    lines = []
    for number in range(80):
        label = ("good", "bad")[number % 2]
        words = [rest[(number * k) % 8] for k in range(1, 2 + number % 5)]
        words.insert(number % 3, tells[label][number % 3])
        lines.append(f"{label}\t{' '.join(words)} {number}\n")
    path = tmp_path_factory.mktemp("reviews") / "reviews.tsv"
    path.write_text("".join(lines))
    return path


def trained(reviews: Path, perturb: str = "none", seeds: int = 1, **told: Any) -> Classification:
    told = {"network": "cnn"} | SMALL | told
    return classify(reviews, perturb=perturb, seeds=seeds, quiet=True, **told)


def untimed(made: Classification) -> list[dict[str, Any]]:
    return [{k: v for k, v in vars(run).items() if k != "seconds"} for run in made.runs]


@pytest.mark.torch_random
def test_a_separable_corpus_is_learnt(reviews: Path) -> None:
    made = trained(reviews, "fgm(epsilon=0.1)")
    assert made.names == ["none", "fgm(epsilon=0.1)"]
    assert made.measures == TROUBLES
    for one in made.runs:
        assert one.accuracy["clean"] == 1.0
        assert one.valid == 1.0
        # nothing was done to these
        assert one.accuracy["attack 0"] == one.accuracy["drop 0"] == one.accuracy["typo 0"] == 1.0
        assert one.accuracy["attack 0.3"] < 1.0
        assert one.accuracy["drop 0.3"] < 1.0
        assert one.accuracy["typo 0.3"] < 1.0
        assert 1 <= one.epoch <= one.epochs == 6


def test_no_radius_is_clean_accuracy_where_that_is_poor(reviews: Path) -> None:
    made = trained(reviews, epochs=1, lr=1e-3)
    [one] = made.runs
    assert 0 < one.accuracy["clean"] < 1
    assert one.accuracy["attack 0"] == one.accuracy["clean"] == one.accuracy["drop 0"]


def test_the_same_command_gives_the_same_numbers(reviews: Path) -> None:
    stream = torch.get_rng_state()
    told = {"epochs": 2, "lr": 3e-3, "attack.restarts": 2}
    first, second = (trained(reviews, "pgd", 2, **told) for _ in range(2))
    assert untimed(first) == untimed(second)
    assert first.runs[0].norm != first.runs[2].norm  # another seed, another network
    assert torch.equal(torch.get_rng_state(), stream)
    # a seed's numbers depend on no other
    [alone, _] = untimed(trained(reviews, "pgd", 1, **told))
    assert alone == untimed(first)[0]


def test_perturbations_differ_in_nothing_else(reviews: Path) -> None:
    """One that does nothing ends in none's own classifier, to the bit: the same first weights,
    batches and dropout."""
    name = "pgd(epsilon=0.0, include_clean=false)"
    none, other = untimed(trained(reviews, name, epochs=2, lr=3e-3))
    assert other.pop("perturb") == name
    assert none.pop("perturb") == "none"
    assert none == other


def test_batches_are_the_same_whatever_is_drawn(
    reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Text] = []
    really = CNNDiscriminator.class_logits

    def watched(network: CNNDiscriminator, text: Text) -> torch.Tensor:
        # dropout is on in training alone; a perturbation reads each batch several times
        if network.dropout.training and not (seen and seen[-1] is text):
            seen.append(text)
        return really(network, text)

    monkeypatch.setattr(CNNDiscriminator, "class_logits", watched)
    made = trained(reviews, "pgd(same_dropout=false)", epochs=2)
    assert made.runs[0].norm != made.runs[1].norm
    batches = 7
    assert len(seen) == 2 * 2 * batches
    none, pgd = seen[: 2 * batches], seen[2 * batches :]
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(none, pgd, strict=True))
    first, second = none[:batches], none[batches:]
    assert not all(torch.equal(a.tokens, b.tokens) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", registry.names("perturbation"))
def test_every_perturbation_trains(name: str, reviews: Path) -> None:
    made = trained(reviews, name, epochs=2)
    assert [one.perturb for one in made.runs] == ["none", name]
    for one in made.runs:
        assert all(0 <= share <= 1 for share in one.accuracy.values())
    assert made.runs[1].norm != made.runs[0].norm, "it left no trace"


@contextmanager
def after_each_update(hook: Callable[[], None]) -> Iterator[None]:
    """Call a hook after each step of any optimiser."""
    handle = register_optimizer_step_post_hook(lambda *_: hook())
    try:
        yield
    finally:
        handle.remove()


def test_replays_are_counted_as_epochs(reviews: Path) -> None:
    updates: list[int] = []
    with after_each_update(lambda: updates.append(1)):
        made = trained(reviews, "free_at(replays=3)")
    none, free = made.runs
    assert (none.epochs, free.epochs) == (6, 2)
    batches = 7  # of 8 out of 80 - 8 - 16 sentences
    assert len(updates) == 2 * 6 * batches


@pytest.mark.parametrize("network", ["rnn", "transformer"])
def test_other_networks(network: str, reviews: Path) -> None:
    told = {key: value for key, value in SMALL.items() if not key.startswith("network.")}
    found = classify(
        reviews, network=network, perturb="none", seeds=1, quiet=True, **(told | {"lr": 0.01})
    )
    assert found.runs[0].accuracy["clean"] == 1.0
    assert found.facts["network"] == network


def test_a_pretrained_network(tmp_path: Path) -> None:
    model = tiny(tmp_path / "model")
    path = tmp_path / "waves.tsv"
    rows = [("sea", "a man rides the wave"), ("art", "the red board on a board")]
    path.write_text(
        "".join(f"{rows[i % 2][0]}\t{rows[i % 2][1]} {'red ' * i}\n" for i in range(40))
    )
    told = {"epochs": 6, "lr": 0.01, "batch": 4, "attack.epsilon": [0.0, 0.2], "attack.steps": 1}
    made = classify(
        path,
        network=f"hf:{model}",
        perturb="fgm(epsilon=0.1)",
        seeds=1,
        out=tmp_path / "study",
        keep=True,
        quiet=True,
        **told,
    )
    for one in made.runs:
        assert one.accuracy["clean"] == one.accuracy["attack 0"] == 1.0
    classifier = load_classifier(tmp_path / "study/models/none-0")
    found = classifier([sentence for _, sentence in rows]).argmax(1).tolist()
    assert [classifier.names[label] for label in found] == ["sea", "art"]
    with pytest.raises(UserError, match=r"data.min_count: hf:.* reads by its own tokenizer"):
        classify(path, network=f"hf:{model}", **{"data.min_count": 1})


def test_the_best_epoch_counts(reviews: Path) -> None:
    """A shorter run is the beginning of a longer one: another epoch changes the classifier where it
    does better on the validation sentences, and nowhere else."""
    runs = [trained(reviews, epochs=n, lr=0.005).runs[0] for n in range(1, 6)]
    for n, (before, after) in enumerate(itertools.pairwise(runs), 2):
        better = after.valid > before.valid
        assert after.epoch == (n if better else before.epoch)
        assert after.valid >= before.valid
        assert (after.norm != before.norm) == better  # of the classifier that was kept
    assert len({one.epoch for one in runs}) > 1
    assert runs[-1].epoch < 5


def test_a_stopped_command_goes_on(reviews: Path, tmp_path: Path, cli: Cli) -> None:
    told = ["classify", reviews, *FLAGS, "epochs=1", "--perturb", "none,fgm", "--seeds", 2]
    folder, updates, each = tmp_path / "study", 0, 7  # updates of a classifier

    def stopping() -> None:
        nonlocal updates
        updates += 1
        if updates == 3 * each + 2:
            raise KeyboardInterrupt

    with after_each_update(stopping):
        code, out, err = cli(*told, "--out", folder)
    assert (code, out) == (130, "")
    assert err.strip() == (
        f"textgan: stopped; 3 of 4 runs are in {folder}: the same command goes on"
    )
    there = json.loads((folder / FILE).read_text())["runs"]
    order = [("none", 0), ("fgm", 0), ("none", 1), ("fgm", 1)]  # seed by seed
    assert [(one["perturb"], one["seed"]) for one in there] == order[:3]
    with after_each_update(stopping):
        code, out, err = cli(*told, "--out", folder)
    assert code == 0, err
    # what was there is not trained again
    assert updates == 3 * each + 2 + each
    there = json.loads((folder / FILE).read_text())["runs"]
    assert [(one["perturb"], one["seed"]) for one in there] == order
    with after_each_update(stopping):
        assert cli(*told, "--out", folder)[:2] == (0, out)
    assert updates == 3 * each + 2 + each
    whole = trained(reviews, "fgm", 2, epochs=1)
    kept = json.loads((folder / FILE).read_text())
    for one in kept["runs"]:
        del one["seconds"]
    assert kept["runs"] == untimed(whole)
    assert kept["accuracies"]["fgm"]["clean"] == whole.accuracies()["fgm"]["clean"].to_dict()
    # another command has no business there
    message = refused(cli, *told, "--out", folder, "lr=0.5")
    assert f"{folder} holds another study: settings.lr is 0.02 there and 0.5 here" in message
    message = refused(cli, *told[:-1], 3, "--out", folder)
    assert "seeds is 2 there and 3 here; choose another --out" in message
    (folder / FILE).write_text("{")
    assert "is damaged" in refused(cli, *told, "--out", folder)


def test_nothing_is_overwritten(reviews: Path, tmp_path: Path, cli: Cli) -> None:
    note = tmp_path / "note.txt"
    note.write_text("mine")
    assert "is in use; choose another folder" in refused(
        cli, "classify", reviews, *FLAGS, "--out", tmp_path
    )
    assert "is in use" in refused(cli, "classify", reviews, *FLAGS, "--out", note)
    assert note.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    below = refused(cli, "classify", reviews, *FLAGS, "--out", note / "deeper")
    assert "cannot be written" in below


def test_kept_classifiers_say_what_was_reported(reviews: Path, tmp_path: Path) -> None:
    told = SMALL | {"epochs": 1, "lr": 3e-3}
    names = "fgm( epsilon=0.5 )"
    left = tmp_path / "study/models/none-0"
    left.mkdir(parents=True)  # what a kill between the network and its record would leave
    (left / "encoder.safetensors").write_text("half")
    (tmp_path / "study" / FILE).write_text(
        json.dumps({"facts": _facts(reviews, told, ["none", names]), "runs": []})
    )
    place = tmp_path / "study"
    made = classify(
        reviews, network="cnn", perturb=names, seeds=1, out=place, keep=True, quiet=True, **told
    )
    config = make_settings(ClassifierConfig, told)
    test = read_classifier_data(reviews, "cnn", config).split.test
    lines, labels = test.lines, test.labels
    assert labels is not None
    for folder, one in zip(["none-0", "fgm-epsilon-0.5-0"], made.runs, strict=True):
        classifier = load_classifier(tmp_path / "study/models" / folder)
        assert classifier.names == ("bad", "good")
        found = classifier(lines)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found.sum(1), torch.ones(len(lines), dtype=torch.float64))
        share = float((found.argmax(1) == labels).double().mean())
        assert share == one.accuracy["clean"]
        torch.testing.assert_close(classifier(lines[3:4])[0], found[3])
        assert classifier([]).shape == (0, 2)
    with pytest.raises(UserError, match="there is no"):
        load_classifier(tmp_path)


def _facts(reviews: Path, told: dict[str, Any], names: list[str]) -> dict[str, Any]:
    config = make_settings(ClassifierConfig, told)
    data = read_classifier_data(reviews, "cnn", config)
    trainer = ClassifierTrainer("cnn", config, data, torch.device("cpu"))
    return trainer.facts | {"perturb": names, "seeds": 1, "keep": True}


def test_json(reviews: Path, cli: Cli) -> None:
    flags = [*FLAGS, "epochs=1", "--seeds", 2, "--perturb", "fgm", "--json"]
    code, out, err = cli("classify", reviews, *flags)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert list(found) == ["facts", "runs", "accuracies", "differences", "times"]
    assert len(found["runs"]) == 4
    assert list(found["accuracies"]["fgm"]) == TROUBLES
    assert list(found["differences"]) == ["fgm"]
    assert {"value", "low", "high", "significant"} == found["differences"]["fgm"]["clean"].keys()
    assert found["facts"]["data"]["split"] == {"train": 56, "valid": 8, "test": 16}
    assert found["times"]["none"]["value"] == 1.0


def test_names_of_a_list() -> None:
    assert split_names("fgm, pgd(epsilon=1.0, steps=2),fgm,") == [
        "none",
        "fgm",
        "pgd(epsilon=1.0, steps=2)",
    ]
    assert split_names("") == ["none"]
    assert split_names("fgm,none") == ["none", "fgm"]


def test_numbers_may_stand_for_lists(reviews: Path) -> None:
    made = trained(reviews, **{"attack.epsilon": 0.25, "noise.rate": 1, "noise.kind": "swap"})
    assert made.measures == ["clean", "attack 0.25", "swap 1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a fine film\n" * 30, "line 1 has no tab; give label, one tab, sentence in every line"),
        ("good\ta film\n" * 30, "every sentence has the label 'good'"),
        ("good\ta film\n" * 30 + "a film\n", "line 31 has no tab"),
        (None, "the label 'odd' (line 1) has 1 sentence, 1 of them for training"),
        ("good\ta film\nbad\tno film\n", "at least 20 are needed"),
    ],
)
def test_files_that_cannot_be(content: str | None, said: str, tmp_path: Path, cli: Cli) -> None:
    if content is None:
        rows = [f"{('good', 'bad')[i % 2]}\tfilm number {i}\n" for i in range(60)]
        content = "odd\tzz\n" + "".join(rows)
    path = tmp_path / "file.tsv"
    path.write_text(content)
    message = refused(cli, "classify", path, "data.test=0.1")
    if "odd" in said and "0 of them" in message:
        said = said.replace("1 of them", "0 of them")
    assert said in message


@pytest.mark.parametrize(
    ("flags", "said"),
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
        (["--seeds", "0"], "--seeds"),
    ],
)
def test_what_cannot_be_is_refused(flags: list[str], said: str, reviews: Path, cli: Cli) -> None:
    assert said in refused(cli, "classify", reviews, *flags)


def test_a_file_that_is_not_there(tmp_path: Path, cli: Cli) -> None:
    assert "there is no such file" in refused(cli, "classify", tmp_path / "none.tsv")


def test_weights_that_stop_being_numbers(reviews: Path, cli: Cli, tmp_path: Path) -> None:
    flags = [*FLAGS, "--perturb", "none", "--seeds", 1]
    really = torch.nn.functional.cross_entropy

    def broken(*told: Any, **more: Any) -> Any:
        return really(*told, **more) * torch.nan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "cross_entropy", broken)
        message = refused(cli, "classify", reviews, *flags, "--out", tmp_path / "study")
    assert "none, seed 0: the gradient of CNNDiscriminator is not finite" in message
    assert message.endswith("try a smaller lr")
