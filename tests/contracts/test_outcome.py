"""The report of a check."""

from textgan.contracts.outcome import Report


def test_a_report_is_words_and_a_table() -> None:
    report = Report("x", "metric", ())
    assert report.passed
    assert report.to_dict()["checks"] == []
