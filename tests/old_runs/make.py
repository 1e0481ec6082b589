"""How the folders beside this file were made, by the version of commit 14f07c1, on one thread.

python tests/old_runs/make.py NEW_FOLDER makes them again; later versions only read them.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import textgan
from textgan.bench.machine import _processor
from textgan.training import Training  # where that version had it

WORDS = ["a", "the", "cat", "dog", "sees", "likes", "old", "red", "tree", "house"]

SHORT = {
    "seed": 3,
    "generator": {"embedding": 4, "hidden": 5, "dropout": 0.2},
    "discriminator": {"embedding": 4, "sizes": [1, 2], "counts": [3, 3]},
    "schedule": {
        "batch_size": 8,
        "mle_epochs": 2,
        "discriminator_turns": 1,
        "rounds": 4,
        "g_steps": 2,
        "d_steps": 1,
        "k": 1,
        "fakes": 0,
    },
    "evaluation": {"samples": 20, "final_samples": 60, "bootstrap": 100, "ngrams": 2},
}
# a lagging policy that is kept, shards, interleaved teacher forcing
ORACLE = {
    "oracle": {"vocabulary": 12, "length": 5, "hidden": 6, "positives": 40, "held_out": 30},
    "objective": {"rollouts": 2, "rollout_ema": 0.5, "baseline": "batch"},
    "discriminator.perturb": "freelb",
    "schedule.shards": 2,
    "schedule.mle_steps": 1,
}
# texts of several lengths with labels; fakes and shifts that are kept from update to update
LABELLED = {
    "objective": {"remembered": 12},
    "discriminator.perturb": "free_at(norm='inf', keep=true)",
    "mle.perturb": "smart(mu=1.0)",
    "data.min_count": 1,
}
# parts of its user's own, see mine.py; the run keeps a copy of them
OWN = {
    "generator": "mine.py:Writer",
    "generator.embedding": 4,
    "generator.hidden": 5,
    "discriminator": "mine.py:Reader",
    "discriminator.perturb": "mine.py:Push(epsilon=0.05)",
    "mle.perturb": "mine.py:Push",
    "schedule.shards": 2,
}


def lines(count: int) -> list[str]:
    """Sentences of one to six words, in turn glad and sad."""
    sentences = [" ".join(WORDS[(i * j) % 10] for j in range(1, 2 + i % 6)) for i in range(count)]
    return [f"{('glad', 'sad')[i % 2]}\t{line}" for i, line in enumerate(sentences)]


def train(objective: str, out: Path, stop: int, **settings: Any) -> None:
    """A run that is stopped in the middle (out/half), and goes on to its end (out/done)."""
    really = Training.do

    def do(self: Training, *arguments: Any) -> Any:
        if self.done == stop:
            signal.raise_signal(signal.SIGINT)
        return really(self, *arguments)

    Training.do = do  # type: ignore[method-assign]
    half, done = out / "half", out / "done"
    try:
        textgan.train(objective, out=half, quiet=True, **settings)
    except textgan.Interrupted as stopped:
        print(stopped)
    Training.do = really  # type: ignore[method-assign]
    shutil.copytree(half, done)
    textgan.resume(done, quiet=True, trust_code=True)
    trust = ["--trust-code"]
    command("evaluate", done, "--metrics", "quick", "--resamplings", "50", *trust)
    measured = ["--metrics", "likelihood,bleu", "--samples", "30", "--temperatures", "1,0.7"]
    command("curve", done, *measured, *trust)
    for folder in (half, done):
        for path in sorted((folder / "checkpoints").glob("*.safetensors"))[:-1]:
            path.unlink()


def command(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "textgan", *map(str, words)], check=True)


def main(out: Path) -> None:
    torch.set_num_threads(1)
    out.mkdir()
    os.chdir(out)
    sys.argv = ["make.py"]  # which a run keeps
    capability = torch.backends.cpu.get_cpu_capability()
    place = {
        "processor": _processor(),
        "capability": capability,
        "torch": torch.__version__,
    }
    Path("machine.json").write_text(json.dumps(place, indent=1) + "\n", "utf-8")
    Path("moods.tsv").write_text("\n".join(lines(80)) + "\n", "utf-8")
    train("seqgan", Path("oracle"), 30, **merged(SHORT, ORACLE))
    shutil.copy(Path(__file__).with_name("mine.py"), "mine.py")
    of_others = {key: SHORT[key] for key in ("seed", "schedule", "evaluation")}
    train("mine.py:Method", Path("own"), 30, **merged(of_others, {"oracle": ORACLE["oracle"]}, OWN))
    train("coldgan", Path("labelled"), 42, data="moods.tsv", **merged(SHORT, LABELLED))
    small = {"network.embedding": 8, "network.heads": 2, "network.layers": 1, "epochs": 2}
    textgan.encode("simcse", data="moods.tsv", out="encoder", quiet=True, **small)
    sentences = [line.partition("\t")[2] for line in lines(6)]
    vectors = textgan.open_encoder("encoder").encode_lines(sentences)
    textgan.classify(
        "moods.tsv",
        out="classifiers",
        perturb="none,fgm",
        seeds=2,
        keep=True,
        quiet=True,
        **{"network.embedding": 4, "network.hidden": 4, "data.min_count": 1, "epochs": 2},
    )
    probabilities = textgan.load_classifier("classifiers/models/fgm-1")(sentences)
    expected = {"vectors": vectors.tolist(), "probabilities": probabilities.tolist()}
    Path("expected.json").write_text(json.dumps(expected, indent=1) + "\n", "utf-8")
    for path in Path().rglob("*"):
        if path.match("events.out*") or path.suffix in (".png", ".lock"):
            path.unlink()


def merged(*all_settings: dict[str, Any]) -> dict[str, Any]:
    """The groups of several, joined."""
    flat: dict[str, Any] = {}
    for settings in all_settings:
        for key, value in settings.items():
            inner = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {}
            flat |= inner or {key: value}
    return flat


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
