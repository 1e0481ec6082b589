"""Lines of text in which what one token is shows."""

POEMS = [f"{a}{b}{c}{a}{c}" for a in "春夏秋冬" for b in "山水風" for c in "月花鳥"]
ENGLISH = [f"{a} {b} sees the {c}" for a in ("a", "one") for b in ("dog", "cat") for c in "bcdefgh"]
# settings of a run of a second on these
TINY = ["schedule.mle_epochs=1", "generator.hidden=4", "evaluation.samples=10"]
TINY += ["evaluation.final_samples=20", "evaluation.bootstrap=100"]
