"""What must not stand in the repository."""

from tests.lint import source, words


def test_banned_functions_are_not_called() -> None:
    source.assert_none(words.banned(source.ROOT, source.c_files(source.ROOT)))


def test_comments_of_c_are_closed_ones() -> None:
    source.assert_none(words.comments(source.ROOT, source.c_files(source.ROOT)))


def test_no_open_questions_machine_paths_or_registry_hosts() -> None:
    source.assert_none(words.words(source.ROOT, list(source.text_files(source.ROOT))))


def test_files_begin_as_they_should() -> None:
    source.assert_none(words.beginnings(source.ROOT, source.c_files(source.ROOT)))
