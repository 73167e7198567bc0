"""What must not stand in the repository."""

import re

from tests.lint import source, words


def test_banned_functions_are_not_called() -> None:
    source.assert_none(words.banned(source.ROOT, source.c_files(source.ROOT)))


def test_comments_of_c_are_closed_ones() -> None:
    source.assert_none(words.comments(source.ROOT, source.c_files(source.ROOT)))


def test_no_open_questions_machine_paths_or_registry_hosts() -> None:
    source.assert_none(words.words(source.ROOT, list(source.text_files(source.ROOT))))


def test_files_begin_as_they_should() -> None:
    source.assert_none(words.beginnings(source.ROOT, source.c_files(source.ROOT)))


def test_what_the_compiler_refuses_is_on_the_list() -> None:
    poisoned = re.findall(r"^#pragma GCC poison (.*)$", (source.ROOT / "common/banned.h").read_text(), re.MULTILINE)
    names = {name for line in poisoned for name in line.split()}
    assert len(names) > 10
    assert names <= set(words.BANNED)
