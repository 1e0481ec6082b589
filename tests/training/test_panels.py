"""Every curve that is shown is on one list, and stands on it once."""

from textgan.training.panels import (
    OF_PAIRS,
    OVERVIEW,
    SORTED_BY,
    UPDATES,
    sorted_by,
    tensorboard_layout,
)


def test_a_tag_is_in_one_panel_and_every_panel_in_tensorboard() -> None:
    panels = [*OVERVIEW, *OF_PAIRS, *UPDATES]
    tags = [tag for panel in panels for tag in panel.curves]
    assert len(set(tags)) == len(tags)
    assert len({panel.title for panel in panels}) == len(panels)
    panels = [*OVERVIEW, *UPDATES]
    charts = [chart for group in tensorboard_layout().values() for chart in group.items()]
    assert len(charts) == len(panels)
    for panel, (title, (kind, shown)) in zip(panels, charts, strict=True):
        assert title.startswith(panel.title)
        assert kind == "Multiline"
        oracle = ["eval/oracle_entropy$"] if panel.unit == "nats per token" else []
        assert shown == [f"{tag}$" for tag in panel.curves] + oracle


def test_runs_on_pairs_have_charts_and_columns_of_their_own() -> None:
    overview, others = (tensorboard_layout(pairs)["Overview"] for pairs in (True, False))
    assert "eval/sacrebleu_valid$" in next(iter(overview.values()))[1]
    assert {*overview} - {*others} == {f"{panel.title} ({panel.unit})" for panel in OF_PAIRS}
    assert sorted_by(False) == SORTED_BY
    assert {"eval/sacrebleu", "eval/adversuc"} <= {*sorted_by(True)} - {*SORTED_BY}
