"""Arrows point one way: main -> edges -> core -> common, proto."""

from tests.lint import layers, source


def test_folders_include_only_what_the_design_lets_them() -> None:
    source.assert_none(layers.folders(source.ROOT, source.c_files(source.ROOT, tests=False)))


def test_an_edge_meets_one_external_library() -> None:
    source.assert_none(layers.families(source.ROOT, source.c_files(source.ROOT, tests=False)))


def test_cores_are_pure() -> None:
    compiled = source.compile_commands(source.build_folder())
    files = {path for path, target, _ in compiled if target.endswith("_core")}
    assert len(files) > 10, "the build has hardly any file in a *_core library"
    source.assert_none(layers.cores(source.ROOT, sorted(path for path in files if source.ROOT in path.parents)))


def test_every_source_is_compiled() -> None:
    """A file that nothing compiles is dead code, and no other test sees it."""
    compiled = {path for path, _, _ in source.compile_commands(source.build_folder())}
    files = {path for path in source.c_files(source.ROOT) if path.suffix == ".c"}
    source.assert_none(sorted(str(path.relative_to(source.ROOT)) for path in files - compiled))
