"""Write data/questions.tsv and data/dialogues.tsv: pairs from small grammars, always the same.

An answer follows from its question alone, in one of a few wordings; a response of a dialogue from
all utterances before it.
"""

import random
from itertools import pairwise
from pathlib import Path

NAMES = {"tom": "he", "paul": "he", "ali": "he", "anna": "she", "mary": "she", "lena": "she"}
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
THINGS = ["apples", "books", "cups", "eggs", "pens", "stones"]
COLOURS = ["red", "blue", "green", "white", "black", "yellow"]
PLACES = ["kitchen", "garden", "school", "station", "park", "library"]
OBJECTS = ["car", "house", "door", "hat", "boat", "lamp"]


def count(dice: random.Random) -> tuple[str, list[str]]:
    name, thing = dice.choice([*NAMES]), dice.choice(THINGS)
    first, second = dice.randint(1, 5), dice.randint(1, 5)
    more = dice.random() < 0.5
    first, second = (first, second) if more else (max(first, second) + 1, min(first, second))
    left = NUMBERS[(first + second if more else first - second) - 1]
    did = f"gets {NUMBERS[second - 1]} more" if more else f"loses {NUMBERS[second - 1]}"
    asked = f"{name} has {NUMBERS[first - 1]} {thing} and {did} . how many has {NAMES[name]} ?"
    thing = thing.removesuffix("s") if left == "one" else thing
    return asked, [
        f"{left} {thing} .",
        f"{name} has {left} .",
        f"{NAMES[name]} has {left} {thing} .",
    ]


def where(dice: random.Random) -> tuple[str, list[str]]:
    people, places = dice.sample([*NAMES], 2), dice.sample(PLACES, 2)
    who = dice.randrange(2)
    name, place = people[who], places[who]
    said = " and ".join(f"{a} is in the {b}" for a, b in zip(people, places, strict=True))
    answers = [f"in the {place} .", f"{name} is in the {place} ."]
    return f"{said} . where is {name} ?", [*answers, f"{NAMES[name]} is in the {place} ."]


def colour(dice: random.Random) -> tuple[str, list[str]]:
    things, colours = dice.sample(OBJECTS, 2), dice.sample(COLOURS, 2)
    which = dice.randrange(2)
    said = " and the ".join(f"{a} is {b}" for a, b in zip(things, colours, strict=True))
    answer = colours[which]
    answers = [f"{answer} .", f"it is {answer} .", f"the {things[which]} is {answer} ."]
    return f"the {said} . what colour is the {things[which]} ?", answers


def who(dice: random.Random) -> tuple[str, list[str]]:
    people, things = dice.sample([*NAMES], 2), dice.sample(OBJECTS, 2)
    which = dice.randrange(2)
    said = " and ".join(f"{a} likes the {b}" for a, b in zip(people, things, strict=True))
    name, thing = people[which], things[which]
    return f"{said} . who likes the {thing} ?", [f"{name} .", f"{name} does .", f"it is {name} ."]


def questions(dice: random.Random, n: int = 2000) -> list[tuple[str, str]]:
    answered: dict[str, str] = {}
    while len(answered) < n:
        asked, answers = dice.choice([count, where, colour, who])(dice)
        answered.setdefault(asked, dice.choice(answers))
    return [*answered.items()]


def dialogue(dice: random.Random) -> list[str]:
    name, thing, colour_ = dice.choice([*NAMES]), dice.choice(THINGS), dice.choice(COLOURS)
    n, price = dice.randint(2, 5), dice.randint(1, 2)
    total = NUMBERS[n * price - 1]
    wanted = f"{NUMBERS[n - 1]} {colour_} {thing}"
    hello = dice.choice([f"hello , i am {name} .", f"good morning , my name is {name} ."])
    lines = [hello, f"{dice.choice(['hello', 'good day'])} {name} , what do you want ?"]
    lines += [dice.choice([f"i want {wanted} , please .", f"can i have {wanted} ?"])]
    if dice.random() < 0.3:
        other = dice.choice([one for one in COLOURS if one != colour_])
        lines += [f"we have no {colour_} {thing} , only {other} ones .", "then these , please ."]
    each = f"{NUMBERS[price - 1]} coin{'s' * (price > 1)} each"
    lines += [f"here you are , {NUMBERS[n - 1]} {thing} .", "how much is that ?"]
    lines += [f"they are {each} , so it is {total} coins ."]
    return [*lines, "thank you and good bye .", f"good bye {name} ."]


def write(name: str, text: str) -> None:
    Path(__file__).with_name(name).write_text(text, "utf-8")


def main() -> None:
    dice = random.Random(0)
    write("questions.tsv", "".join(f"{a}\t{b}\n" for a, b in questions(dice)))
    # an empty line ends a conversation
    talks = ["".join(f"{a}\t{b}\n" for a, b in pairwise(dialogue(dice))) for _ in range(250)]
    write("dialogues.tsv", "\n".join(talks))


if __name__ == "__main__":
    main()
