"""docs/CONFIGURATION.md and docs/METRICS.md say what the programs say, and metrics are named as they should be."""

from tests.lint import generate_docs, metric_names, source


def test_generated_pages_are_in_step() -> None:
    wanted = generate_docs.pages(source.build_folder() / "bin")
    source.assert_none(generate_docs.differences(source.ROOT / "docs", wanted))


def test_metrics_are_named_by_the_rules() -> None:
    page = generate_docs.pages(source.build_folder() / "bin")["METRICS.md"]
    source.assert_none(metric_names.violations(page))
