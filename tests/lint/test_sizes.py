"""Files and functions that fit on what one reads at once."""

from tests.lint import sizes, source


def test_files_are_short() -> None:
    source.assert_none(sizes.files(source.ROOT, source.c_files(source.ROOT)))


def test_files_of_redis_functions_are_short() -> None:
    functions = sorted((source.ROOT / "licensor/store/functions").glob("*.lua"))
    assert functions, "where have they gone?"
    source.assert_none(sizes.files(source.ROOT, functions))


def test_functions_are_short_and_simple() -> None:
    source.assert_none(sizes.functions(source.ROOT, source.c_files(source.ROOT, tests=False)))
