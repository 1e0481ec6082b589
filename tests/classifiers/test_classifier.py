"""Classifiers that are saved, loaded, and give probabilities."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from classified import SMALL
from tiny import tiny

from textgan.classifiers.classifier import load_classifier
from textgan.classifiers.config import ClassifierConfig
from textgan.classifiers.data import read_classifier_data
from textgan.classifiers.results import FILE
from textgan.classifiers.train import classify
from textgan.classifiers.trainer import ClassifierTrainer
from textgan.core.errors import UserError
from textgan.core.settings import make_settings


def test_a_pretrained_network(tmp_path: Path) -> None:
    model = tiny(tmp_path / "model")
    path = tmp_path / "waves.tsv"
    rows = [("sea", "a man rides the wave"), ("art", "the red board on a board")]
    path.write_text(
        "".join(f"{rows[i % 2][0]}\t{rows[i % 2][1]} {'red ' * i}\n" for i in range(40))
    )
    settings = {
        "epochs": 6,
        "lr": 0.01,
        "batch": 4,
        "attack.epsilon": [0.0, 0.2],
        "attack.steps": 1,
    }
    made = classify(
        path,
        network=f"hf:{model}",
        perturb="fgm(epsilon=0.1)",
        seeds=1,
        out=tmp_path / "study",
        keep=True,
        quiet=True,
        **settings,
    )
    for one in made.runs:
        assert one.accuracy["clean"] == one.accuracy["attack 0"] == 1.0
    classifier = load_classifier(tmp_path / "study/models/none-0")
    result = classifier([sentence for _, sentence in rows]).argmax(1).tolist()
    assert [classifier.names[label] for label in result] == ["sea", "art"]
    with pytest.raises(UserError, match=r"data.min_count: hf:.* reads by its own tokenizer"):
        classify(path, network=f"hf:{model}", **{"data.min_count": 1})


def test_kept_classifiers_say_what_was_reported(reviews: Path, tmp_path: Path) -> None:
    settings = SMALL | {"epochs": 1, "lr": 3e-3}
    names = "fgm( epsilon=0.5 )"
    left = tmp_path / "study/models/none-0"
    left.mkdir(parents=True)  # what a kill between the network and its record would leave
    (left / "encoder.safetensors").write_text("half")
    (tmp_path / "study" / FILE).write_text(
        json.dumps({"facts": _facts(reviews, settings, ["none", names]), "runs": []})
    )
    place = tmp_path / "study"
    made = classify(
        reviews, network="cnn", perturb=names, seeds=1, out=place, keep=True, quiet=True, **settings
    )
    config = make_settings(ClassifierConfig, settings)
    test = read_classifier_data(reviews, "cnn", config).split.test
    lines, labels = test.lines, test.labels
    assert labels is not None
    for folder, one in zip(["none-0", "fgm-epsilon-0.5-0"], made.runs, strict=True):
        classifier = load_classifier(tmp_path / "study/models" / folder)
        assert classifier.names == ("bad", "good")
        result = classifier(lines)
        assert result.dtype == torch.float64
        torch.testing.assert_close(result.sum(1), torch.ones(len(lines), dtype=torch.float64))
        share = float((result.argmax(1) == labels).double().mean())
        assert share == one.accuracy["clean"]
        torch.testing.assert_close(classifier(lines[3:4])[0], result[3])
        assert classifier([]).shape == (0, 2)
    with pytest.raises(UserError, match="there is no"):
        load_classifier(tmp_path)


def _facts(reviews: Path, settings: dict[str, Any], names: list[str]) -> dict[str, Any]:
    config = make_settings(ClassifierConfig, settings)
    data = read_classifier_data(reviews, "cnn", config)
    trainer = ClassifierTrainer("cnn", config, data, torch.device("cpu"))
    return trainer.facts | {"perturb": names, "seeds": 1, "keep": True}
