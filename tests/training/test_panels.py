"""Every curve that is shown is on one list, and stands on it once."""

from textgan.training.panels import OVERVIEW, UPDATES, tensorboard_layout


def test_a_tag_is_in_one_panel_and_every_panel_in_tensorboard() -> None:
    panels = [*OVERVIEW, *UPDATES]
    tags = [tag for panel in panels for tag in panel.curves]
    assert len(set(tags)) == len(tags)
    assert len({panel.title for panel in panels}) == len(panels)
    charts = [chart for group in tensorboard_layout().values() for chart in group.items()]
    assert len(charts) == len(panels)
    for panel, (title, (kind, shown)) in zip(panels, charts, strict=True):
        assert title.startswith(panel.title)
        assert kind == "Multiline"
        oracle = ["eval/oracle_entropy$"] if panel.unit == "nats per token" else []
        assert shown == [f"{tag}$" for tag in panel.curves] + oracle
