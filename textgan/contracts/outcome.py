"""The outcomes of the checks of a part, as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from textgan.core.contract import undisturbed
from textgan.core.errors import UserError
from textgan.core.tables import filled, terminal_width

Result = Literal["passed", "failed", "refused", "left out"]
Check = Callable[[], str | None]  # a remark, or none; raises where the part breaks a promise


class Refused(Exception):
    """The part says in one sentence that it does not do this, which it may."""


class LeftOut(Exception):
    """The check says nothing about this part; the message says why."""


class Broken(Exception):
    """A promise that does not hold, in one sentence."""


class CheckFailed(UserError, AssertionError):
    """A part breaks its contract; the message is the table of all checks."""


@dataclass(frozen=True)
class Outcome:
    """One check: what was promised, what came of it, and why."""

    promise: str
    result: Result
    why: str = ""


@dataclass(frozen=True)
class Report:
    """The report of all checks of one part."""

    part: str
    kind: str
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(outcome.result != "failed" for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        checks = [asdict(outcome) for outcome in self.outcomes]
        return {"part": self.part, "kind": self.kind, "passed": self.passed, "checks": checks}

    def __str__(self) -> str:
        width = max(60, min(100, terminal_width()))
        longest = max(len(outcome.promise) for outcome in self.outcomes)
        lines = [f"{self.kind} {self.part}"]
        for outcome in self.outcomes:
            lines.append(f"  {outcome.promise:<{longest}}  {outcome.result}")
            if why := " ".join(outcome.why.split()):
                lines.append(filled(why, width, indent=0, first=6))
        failed = sum(outcome.result == "failed" for outcome in self.outcomes)
        end = "keeps its contract" if self.passed else "breaks its contract"
        lines.append(f"{len(self.outcomes)} checks, {failed} failed: {self.part} {end}")
        return "\n".join(lines)


def run_checks(
    part: str, kind: str, checks: Sequence[tuple[str, Check]], needed: int = 1
) -> Report:
    """Run checks in their order; where one of the first `needed` fails, the others are left out."""
    outcomes: list[Outcome] = []
    for number, (promise, check) in enumerate(checks):
        if any(outcome.result == "failed" for outcome in outcomes[: min(number, needed)]):
            outcomes.append(Outcome(promise, "left out"))
            continue
        with undisturbed():
            outcomes.append(_outcome(promise, check))
    return Report(part, kind, tuple(outcomes))


def _outcome(promise: str, check: Check) -> Outcome:
    try:
        return Outcome(promise, "passed", check() or "")
    except LeftOut as reason:
        return Outcome(promise, "left out", str(reason))
    except Refused as refusal:
        return Outcome(promise, "refused", str(refusal))
    except (Broken, UserError) as error:
        return Outcome(promise, "failed", str(error))
    except SystemExit as error:  # it would end the check without a word
        return Outcome(promise, "failed", f"it called sys.exit(){_where(error)}")
    except (Exception, GeneratorExit) as error:
        return Outcome(promise, "failed", f"{type(error).__name__}: {error}{_where(error)}")


def _where(error: BaseException) -> str:
    """The last line of a file that is not textgan's or a library's, and who called it."""
    at, traceback = "", error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if traceback.tb_frame.f_globals.get("__name__", "").startswith("textgan_file_"):
            at = f" (in {code.co_name}, {Path(code.co_filename).name}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    return at


@contextmanager
def may_refuse(who: str) -> Iterator[None]:
    """Turn a one-sentence UserError that does not blame the part into a refusal."""
    try:
        yield
    except UserError as error:
        if str(error).startswith((who, "the constructor")):
            raise
        raise Refused(str(error)) from None
