"""The decorators, and the methods that the package being imported has declared so far."""

import inspect

from engenho._errors import PackageError

NAME_BYTES_MAX = 200
_MARK = '__engenho_method__'


class Declared:
    """One declared method: name (str), function, epm (bool: EPM Processor's calling rules), place (str, FILE:LINE)."""

    __slots__ = ('epm', 'function', 'name', 'place')

    def __init__(self, name, function, epm, place):
        self.name = name
        self.function = function
        self.epm = epm
        self.place = place


#: What the import under way declares; engenho._packages empties it before each.
declared = []


def place_of(function):
    code = getattr(inspect.unwrap(function), '__code__', None)
    return f'{code.co_filename}:{code.co_firstlineno}' if code is not None else repr(function)


def check_signature(function, name):
    """Refuse *args and **kwargs: parameters bind by name, so a name must be there."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise PackageError(f"method '{name}' ({place_of(function)}) takes *{parameter.name}: a method's parameters have names; "
                               'list them')


def declare(name, epm, decorator):
    if not isinstance(name, str) or not name:
        raise PackageError(f"{decorator} takes the method's name, one text: write @{decorator}('Name')")
    if len(name.encode('utf-8', 'replace')) > NAME_BYTES_MAX:
        raise PackageError(f'the method name {name[:40]!r}... is longer than {NAME_BYTES_MAX} bytes: shorten it')

    def mark(function):
        if not callable(function):
            raise PackageError(f"@{decorator}('{name}') stands before something that is not a function")
        check_signature(function, name)
        declared.append(Declared(name, function, epm, place_of(function)))
        return function

    return mark


def method(name):
    """Make a function callable by Engenho under `name`.

    `name`: str, 1 to 200 bytes; unique in its package. Parameters `event` and `session` are given by Engenho, the others by the
    production or application, or by their defaults; *args and **kwargs are refused.
    Returns a decorator that returns the function itself. Raises PackageError, which makes the package not importable.
    """
    return declare(name, False, 'method')
