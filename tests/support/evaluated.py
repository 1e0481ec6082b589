"""Settings of runs that are evaluated in a second."""

from toys import TOY

QUICK = ["bleu", "self_bleu", "unique", "likelihood"]
SHORT = TOY | {"schedule.rounds": 1, "evaluation.final_samples": 60}
