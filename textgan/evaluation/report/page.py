"""The page about runs: one HTML file that needs nothing else, not even JavaScript.

It is made of what is in the runs' folders: config.json and run.json, and where there are such
results.json, metrics.jsonl, evaluation.json and curve.json. Runs that differ in their seed alone
are one system, whose numbers are means over the seeds. Of paths only the last names are shown,
for the page is meant to be given away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from textgan.core.arguments import checked_arguments
from textgan.core.errors import UserError
from textgan.core.files import is_folder, make_folder, require_writable, system_errors, write_file
from textgan.core.format import (
    format_estimate,
    format_interval,
    format_value,
    without_paths,
)
from textgan.core.names import join_names, unique_names
from textgan.core.progress import say, status
from textgan.core.settings import flatten
from textgan.core.tables import ARROWS
from textgan.core.version import __version__
from textgan.evaluation.report.about import (
    collect_warnings,
    data_name,
    describe_runs,
    overview,
    suggested_commands,
)
from textgan.evaluation.report.charts import style_sheet
from textgan.evaluation.report.figures import trade, training
from textgan.evaluation.report.runs import (
    RunRecord,
    repeated,
    systems_of,
)
from textgan.evaluation.report.samples import examples
from textgan.evaluation.report.table import tables
from textgan.evaluation.temperature_sweep import Unkept, complete

SHOWN = 5  # examples of a row before one has to ask for more


@system_errors()
@checked_arguments
def report(
    *runs: Annotated[str | Path, "a run's folder"],
    out: Annotated[str | Path | None, "a file"] = None,
    measure: bool = True,
    quiet: bool = False,
    trust_code: bool = False,
) -> Path:
    """Write one page about runs, as `textgan report` does, and return where it is.

    out: the page; report.html in the first run's folder if not given. measure: whether to measure
    first what the runs lack. trust_code: run the code in files of their makers' own that runs'
    folders keep. Raises UserError.

    Example:
        >>> textgan.report("runs/mine", "runs/other", out="page.html")
    """
    folders = [Path(run) for run in runs]
    if not folders:
        raise UserError("runs: give the folder of at least one run")
    path = folders[0] / "report.html" if out is None else Path(out)
    if out is not None:
        make_folder(path.parent, f"out = {str(out)!r}")
    if is_folder(path.parent):
        require_writable(path)  # asked before hours of measuring
    unkept = complete(folders, quiet=quiet, trust_code=trust_code) if measure else {}
    with status("writing the page", quiet):
        records = write_report(folders, path, unkept)
    for record in records:
        if record.fault and not quiet:
            say(f"warning: {record.name}: {record.fault}")
    return path


def write_report(
    folders: Sequence[Path], out: Path, unkept: Mapping[Path, Unkept] | None = None
) -> list[RunRecord]:
    """Write the page about some runs, finished or not, as one file, and return their records.

    unkept: what `sweep.complete` measured and the runs' folders could not keep. Raises UserError
    for a folder that is not a run, a damaged file, or an `out` that cannot be written.
    """
    runs = read_runs(folders, unkept)
    page = render(runs)
    make_folder(out.parent, f"out = {str(out)!r}")
    write_file(out, page.encode("utf-8", "replace"))
    return runs


def make_page(folders: Sequence[Path], unkept: Mapping[Path, Unkept] | None = None) -> str:
    """Make the page as HTML. Raises UserError for a folder that is not a run or is damaged."""
    return render(read_runs(folders, unkept))


def read_runs(
    folders: Sequence[Path], unkept: Mapping[Path, Unkept] | None = None
) -> list[RunRecord]:
    """Read each folder once. Raises UserError for one that is not a run or is damaged."""
    places = list(dict.fromkeys(folder.resolve() for folder in folders))
    if not places:
        raise UserError("give the folder of at least one run")
    names = unique_names([folder.name for folder in places])
    return [
        RunRecord.open(folder, name, (unkept or {}).get(folder))
        for folder, name in zip(places, names, strict=True)
    ]


def render(runs: Sequence[RunRecord]) -> str:
    """Make the page about runs as HTML, a chapter for each language."""
    chapters: dict[str, list[RunRecord]] = {}
    for run in runs:
        chapters.setdefault(run.language, []).append(run)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"estimate": format_estimate, "interval": format_interval}
    return environment.get_template("report.html.j2").render(
        chapters=[chapter(runs) for runs in chapters.values()],
        version=__version__,
        style_of_charts=Markup(style_sheet()),
        arrows=ARROWS,
        shown=SHOWN,
    )


def chapter(runs: Sequence[RunRecord]) -> dict[str, Any]:
    """Make the chapter of the page on runs of one language."""
    systems = systems_of(runs)
    methods = [one for one in systems if one.role == "method"]
    shown = examples(systems)
    return {
        "title": f"{join_names([one.short for one in methods], 4)} on {data_name(runs[0])}",
        "overview": overview(runs, methods),
        "unfinished": [run.name for run in runs if run.results is None],
        "warnings": collect_warnings(runs),
        "unevaluated": [run.name for run in runs if run.evaluation is None],
        "uncurved": [run.name for run in runs if run.curve is None],
        "repeated": repeated(methods),
        "unlikely": [run.name for run in runs if run.results and not run.results.likelihood],
        "runs": [run.name for run in runs],
        "commands": suggested_commands,
        "tables": tables(runs, systems),
        "trade": trade(systems),
        "training": training(methods),
        "examples": shown,
        "answering": any(
            one["source"] is not None for block in shown for _, few in block["runs"] for one in few
        ),
        "made": [describe_runs(method) for method in methods],
        "data": {
            key: format_value(value) for key, value in flatten(without_paths(runs[0].data)).items()
        },
    }
