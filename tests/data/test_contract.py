"""What functions may do to texts, and what texts they must return."""

from pathlib import Path

from parts import ONE, WritePart
from toys import Cli, refused, toy_text


def test_fakes_answer_real_texts_of_their_class(
    write_part: WritePart, cli: Cli, tmp_path: Path
) -> None:
    lines = toy_text(tmp_path).read_text().splitlines()
    labelled = [f"{'good' if i % 2 else 'bad'}\t{line}" for i, line in enumerate(lines)]
    Path("toy.tsv").write_text("\n".join(labelled) + "\n")
    told = ["--data", "toy.tsv", *(pair for pair in ONE if not pair.startswith("oracle."))]
    write_part("")
    assert cli("train", "mine.py:Mine", "--out", "run", *told)[0] == 0
    write_part("def sample(self, generator, real, progress): return generator.sample(len(real))",
          name="blind.py")  # fmt: skip
    assert "condition=real.condition" in refused(
        cli, "train", "blind.py:Mine", "--out", "no", *told
    )
