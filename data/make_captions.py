"""Write data/captions.txt: captions from a small grammar, the same for everyone."""

import random
from pathlib import Path

PEOPLE = ["a man", "a woman", "a boy", "a girl", "a child", "two people", "a group of friends"]
ANIMALS = ["a dog", "a cat", "a horse", "a brown cow", "a small bird", "two sheep", "an elephant"]
DOING = {
    "person": [
        "riding a bicycle", "holding an umbrella", "sitting on a bench", "eating a sandwich",
        "playing tennis", "cooking dinner", "reading a book", "flying a kite", "waiting for a bus",
        "carrying a surfboard", "talking on the phone", "skiing down a hill",
    ],
    "animal": [
        "lying in the grass", "standing near a fence", "looking at the camera", "drinking water",
        "walking along a path", "sleeping in the sun", "running after a ball",
    ],
}  # fmt: skip
PLACES = [
    "in the park", "on the beach", "beside the road", "in a small kitchen", "near the river",
    "in front of a house", "at the station", "under a tree", "on a sunny day", "in the snow",
]  # fmt: skip
ROOMS = ["kitchen", "bathroom", "bedroom", "living room", "garden"]
THINGS = ["a white table", "two chairs", "a large window", "a wooden floor", "a blue lamp",
          "a mirror", "some flowers", "an old clock", "a red sofa", "a sink"]  # fmt: skip


def caption(dice: random.Random) -> str:
    kind = dice.random()
    if kind < 0.45:
        words = [dice.choice(PEOPLE), dice.choice(DOING["person"])]
    elif kind < 0.75:
        words = [dice.choice(ANIMALS), dice.choice(DOING["animal"])]
    else:
        first, second = dice.sample(THINGS, 2)
        words = ["a", dice.choice(ROOMS), "with", first, "and", second]
        return " ".join([*words, "."])
    if dice.random() < 0.8:
        words.append(dice.choice(PLACES))
    return " ".join([*words, "."])


def main() -> None:
    dice = random.Random(0)
    lines = [caption(dice) for _ in range(1000)]
    Path(__file__).with_name("captions.txt").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
