"""Calls between textgan and a file of one's own that do not fit, in one line.

A bug inside the file keeps its traceback, for its frames are what its author needs. These do not:
a part's function whose signature textgan cannot call, and a spelling of version 0.1.
"""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from textgan.core.moved import SPELLINGS
from textgan.core.names import title

OWN = "textgan_file_"  # what the names of their modules begin with
_NO_CALL = re.compile(r"([\w.]+)\.(\w+)\(\) (?:missing|takes|got) ")  # class, function


def misuse(error: Exception) -> str | None:
    """Explain which call does not fit, where that is why Python raised an error; None for any other
    error."""
    calls = list(traceback.walk_tb(error.__traceback__))
    frames = [frame for frame, _ in calls]
    own = [(frame, line) for frame, line in calls if _is_own(frame.f_globals.get("__name__"))]
    if own:
        frame, line = own[-1]
        for pattern, present in SPELLINGS.items():
            if re.search(pattern, str(error)):
                file = Path(frame.f_code.co_filename).name
                return f"{file}, line {line}, is written for textgan 0.1 ({error}); write {present}"
        if frame is frames[-1]:  # a call that the file itself makes
            return None
    return _unfit_signature(str(error), frames) if isinstance(error, TypeError) else None


def _unfit_signature(message: str, frames: list[FrameType]) -> str | None:
    """Explain how a part's function is called that textgan could not call; None where the message
    is of no such call."""
    match = _NO_CALL.match(message)
    if match is None:
        return None
    of_class, name = match.groups()
    for value in (value for frame in reversed(frames) for value in frame.f_locals.values()):
        for part in type.mro(value if isinstance(value, type) else type(value)):
            if _is_own(part.__module__) and part.__qualname__ == of_class and name in vars(part):
                return _expected(part, name, message)
    return None


def _expected(part: type, name: str, message: str) -> str:
    """Describe the arguments that a function of a part takes, and those that it should take."""
    takes = f"{title(part)}.{name} takes {_names(vars(part)[name])}"
    usual = next(
        (vars(base)[name] for base in part.__mro__[1:]
         if name in vars(base) and not _is_own(base.__module__)), None,
    )  # fmt: skip
    if name == "__init__" or not callable(usual):
        return f"{takes}, and textgan calls it with others: {message}"
    return f"{takes}; expected {_names(usual)}: {message}"


def _is_own(module: object) -> bool:
    return str(module).startswith(OWN)


def _names(function: Callable[..., Any]) -> str:
    """Format a signature without its annotations, such as (self, text)."""
    signature = inspect.signature(function)
    bare = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    return str(inspect.Signature(bare))
