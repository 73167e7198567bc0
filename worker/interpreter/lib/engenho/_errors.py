"""Exceptions of Engenho, and how a script's exception is told to people."""

import sys
import traceback

TRACEBACK_BYTES_MAX = 8192
SENTENCE_CHARACTERS_MAX = 1000
_MACHINERY = __file__.rpartition('/')[0].rpartition('/')[0] + '/'


class NotRetryable(Exception):
    """Raise it for a failure that another attempt cannot mend: the execution goes to the dead letters at once.

    Where this comes from: Engenho's own choice; EPM Processor retries every failure.
    """


class PackageError(Exception):
    """A package or a method of it cannot be used; the text says what, where and what to do."""


def _is_ours(frame):
    name = frame.filename
    return name.startswith(_MACHINERY) or name.startswith('<frozen importlib')


def _without_our_frames(described, seen):
    if described is None or id(described) in seen:
        return
    seen.add(id(described))
    kept = [frame for frame in described.stack if not _is_ours(frame)]
    described.stack = traceback.StackSummary.from_list(kept)
    _without_our_frames(described.__cause__, seen)
    _without_our_frames(described.__context__, seen)
    for inner in getattr(described, 'exceptions', None) or ():
        _without_our_frames(inner, seen)


def _cap(text):
    """At most TRACEBACK_BYTES_MAX bytes: the start says where it began, the end what went wrong; the middle goes."""
    data = text.encode('utf-8', 'backslashreplace')
    if len(data) > TRACEBACK_BYTES_MAX:
        mark = b'\n  ... cut here ...\n'
        head = TRACEBACK_BYTES_MAX // 4
        data = data[:head] + mark + data[len(data) - (TRACEBACK_BYTES_MAX - head - len(mark)):]
    return data.decode('utf-8', 'ignore')


def _sentence(error):
    if isinstance(error, SystemExit):
        return f'the script called sys.exit({error.code!r}): return from the method instead'
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - a script's own __str__ may raise anything
        text = f'its text cannot be had: __str__ raised {type(broken).__name__}'
    text = ' '.join(text.split())[:SENTENCE_CHARACTERS_MAX]
    return text or type(error).__name__


def describe(error):
    """What a failure is to people.

    Returns (class name, one sentence, traceback, whether it is not to be retried): str, str, str of TRACEBACK_BYTES_MAX bytes
    of UTF-8 at most with the script's frames only, bool. Never raises an Exception.
    """
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ('builtins', '__main__') else f'{kind.__module__}.{kind.__qualname__}'
    if isinstance(error, NotRetryable):
        name = kind.__qualname__
    try:
        described = traceback.TracebackException.from_exception(error, compact=True)
        _without_our_frames(described, set())
        text = ''.join(described.format())
    except Exception as broken:  # noqa: BLE001
        text = f'{name}: {_sentence(error)}\n(the traceback cannot be shown: {type(broken).__name__})\n'
    return name, _sentence(error), _cap(text), isinstance(error, NotRetryable)


def describe_package_error(error, directory):
    """The same for a package that does not import: a sentence that says where in the package."""
    name, sentence, text, _ = describe(error)
    if isinstance(error, PackageError):
        return 'PackageError', sentence, ''
    where = None
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if file.startswith(directory + '/'):
            where = f'{file[len(directory) + 1:]}:{step.tb_lineno}'
        step = step.tb_next
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(directory + '/'):
        where = f'{error.filename[len(directory) + 1:]}:{error.lineno}'
    place = f' at {where}' if where else ''
    return name, f'the package does not import{place}: {name}: {sentence}', text


def unraisable(_):
    """sys.unraisablehook and friends would print our own files; what cannot be raised is told in one line."""
    sys.stderr.write(f'exception ignored: {_.exc_type.__name__}: {_.exc_value}\n')
