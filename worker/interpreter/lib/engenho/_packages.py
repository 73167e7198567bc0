"""Packages in an interpreter: each has its own view of sys.modules and sys.path, so that two packages may both have a `utils.py`.

One execution runs at a time, so views are swapped when an execution of another package begins: the modules of the package that
leaves are taken out of sys.modules, those of the one that comes are put back. Imports inside a method's body find the right
siblings. Modules that are not in a package's folder (the standard library, numpy) are shared. See docs/decisions.
"""

import importlib
import inspect
import os
import sys

from engenho import _registry
from engenho._errors import PackageError, describe_package_error

EVENT, SESSION, VALUE, JSON, MISSING = range(5)

_views = {}
_current = None
_shared_names = set(sys.modules)


class View:
    """A package's folder (str, absolute), its modules by name, and the methods its import declared by name."""

    def __init__(self, directory):
        self.directory = directory
        self.root = _root_of(directory)
        self.modules = {}
        self.methods = {}
        self.imported = set()


def _root_of(directory):
    """The folder with the sources: an archive often holds one folder that holds everything."""
    entries = [entry for entry in os.scandir(directory) if not entry.name.startswith(('.', '__'))]
    if len(entries) == 1 and entries[0].is_dir() and not os.path.exists(os.path.join(entries[0].path, '__init__.py')):
        return entries[0].path
    return directory


def _belongs(module, directory):
    file = getattr(module, '__file__', None)
    if isinstance(file, str):
        return file.startswith(directory + '/')
    try:
        return any(str(path).startswith(directory + '/') or path == directory for path in getattr(module, '__path__', ()))
    except Exception:  # noqa: BLE001 - anything may sit in sys.modules
        return False


def _take_out(view):
    for name in [name for name in sys.modules if name not in _shared_names]:
        module = sys.modules[name]
        if _belongs(module, view.directory):
            view.modules[name] = module
            del sys.modules[name]
        else:
            _shared_names.add(name)
    if view.root in sys.path:
        sys.path.remove(view.root)


def activate(view):
    """Make `view` the package that imports see. None: no package."""
    global _current
    if _current is view:
        return
    if _current is not None:
        _take_out(_current)
    _current = view
    if view is not None:
        sys.modules.update(view.modules)
        sys.path.insert(0, view.root)


def _sources(view):
    """What is imported to find the methods: every module and package at the top, in the order of their names."""
    names = []
    for entry in os.scandir(view.root):
        name = entry.name
        if entry.is_file() and name.endswith('.py') and name[:-3].isidentifier():
            names.append(name[:-3])
        elif entry.is_dir() and name.isidentifier() and os.path.exists(os.path.join(entry.path, '__init__.py')):
            names.append(name)
    if not names:
        raise PackageError('the package has no Python source at its top: put the .py files there, not into folders')
    return sorted(set(names))


def _relative(place, view):
    return place[len(view.root) + 1:] if place.startswith(view.root + '/') else place


def _import(view, names):
    if view.imported.issuperset(names):
        return
    _registry.declared.clear()
    try:
        for name in names:
            # A library that happens to be loaded already must not stand in for the package's own file.
            known = sys.modules.get(name)
            if known is not None and not _belongs(known, view.directory):
                raise PackageError(f"the package's {name}.py has the name of a Python module that is in use: rename the file")
            importlib.import_module(name)
        for found in _registry.declared:
            other = view.methods.get(found.name)
            if other is not None and other.function is not found.function:
                raise PackageError(f"method '{found.name}' is declared twice, in {_relative(other.place, view)} and in "
                                   f'{_relative(found.place, view)}: rename one of them')
            view.methods[found.name] = found
        view.imported.update(names)
    finally:
        _registry.declared.clear()


def _from_main(view, main, name):
    file, colon, function_name = main.rpartition(':')
    if not colon or not file or not function_name.isidentifier():
        raise PackageError(f"main is '{main}': write FILE:FUNCTION, such as plant.py:run")
    path = os.path.normpath(file)
    if path.startswith(('..', '/')) or not os.path.isfile(os.path.join(view.root, path)):
        raise PackageError(f"main names the file '{file}', which is not in the package")
    module_name = path.removesuffix('.py').replace('/', '.')
    _import(view, [module_name])
    function = getattr(sys.modules[module_name], function_name, None)
    if not callable(function):
        raise PackageError(f"main names the function '{function_name}', which {file} does not have")
    name = name or function_name
    for found in view.methods.values():
        if found.function is function:
            return found
    _registry.check_signature(function, name)
    return _registry.Declared(name, function, False, _registry.place_of(function))


def _find(view, main, name):
    if main:
        return _from_main(view, main, name)
    _import(view, _sources(view))
    if not view.methods:
        raise PackageError('the package declares no method: put @method(\'Name\') before a function, or deploy it with main '
                           'FILE:FUNCTION')
    if not name and len(view.methods) == 1:
        return next(iter(view.methods.values()))
    found = view.methods.get(name)
    if found is None:
        raise PackageError(f"the package has no method '{name}': it has " + ', '.join(f"'{other}'" for other in sorted(view.methods)))
    return found


def _slot(parameter, configured, epm):
    name = parameter.name
    if name in configured:
        text = configured[name]
        # Lists and dicts are read anew for each execution: a script may change what it was given.
        return (name, JSON, text) if text.lstrip()[:1] in ('{', '[') else (name, VALUE, _scalar(name, text))
    if name == 'session':
        return (name, SESSION, None)
    if name == 'event' and (not epm or parameter.default is parameter.empty):
        return (name, EVENT, None)
    if parameter.default is not parameter.empty:
        return (name, VALUE, parameter.default)
    return (name, MISSING, None)


def _scalar(name, text):
    import json
    try:
        return json.loads(text)
    except ValueError as error:
        raise PackageError(f"the value of parameter '{name}' is not JSON: {error}") from None


def _bind(found, parameters):
    configured = dict(parameters)
    signature = inspect.signature(found.function).parameters
    unknown = [name for name in configured if name not in signature]
    if unknown:
        takes = ', '.join(f"'{name}'" for name in signature) or 'none'
        raise PackageError(f"method '{found.name}' has no parameter '{unknown[0]}': it takes {takes}")
    positional = []
    keyword = []
    for parameter in signature.values():
        target = keyword if parameter.kind is parameter.KEYWORD_ONLY else positional
        target.append(_slot(parameter, configured, found.epm))
    return tuple(positional), tuple(keyword)


def load(directory, main, name, parameters):
    """Import the package in `directory` as far as needed and bind `parameters` ((name, JSON text), ...) to the method's.

    Returns (view, function, epm, positional, keyword, methods): slots are (name, kind, value), methods the names declared.
    Raises what the package's import raises, or PackageError.
    """
    directory = os.path.realpath(directory)
    if not os.path.isdir(directory):
        raise PackageError(f'the package folder {directory} is not there')
    view = _views.get(directory)
    if view is None:
        view = View(directory)
    activate(view)
    try:
        found = _find(view, main, name)
        positional, keyword = _bind(found, parameters)
    except BaseException:
        activate(None)
        if not view.imported:
            # What a failed import left must not be found by another attempt.
            view.modules.clear()
        raise
    _views[directory] = view
    return view, found.function, found.epm, positional, keyword, sorted(view.methods)


def describe(error, directory):
    """(class, sentence, traceback) of what load raised, for people."""
    return describe_package_error(error, os.path.realpath(directory))
