"""Every header compiles alone, and .clang-format decides how C looks."""

from tests.lint import compiles, source


def test_headers_compile_alone() -> None:
    flags = compiles.compiler_flags(source.compile_commands(source.build_folder()))
    headers = [path for path in source.c_files(source.ROOT) if path.suffix == ".h"]
    assert headers
    source.assert_none(compiles.alone(source.ROOT, headers, flags))


def test_c_is_formatted() -> None:
    source.assert_none(compiles.unformatted(source.ROOT, source.c_files(source.ROOT)))
