"""docs/CONFIGURATION.md and docs/METRICS.md say what the programs say."""

from tests.lint import generate_docs, source


def test_generated_pages_are_in_step() -> None:
    wanted = generate_docs.pages(source.build_folder() / "bin")
    source.assert_none(generate_docs.differences(source.ROOT / "docs", wanted))
