"""EPM Processor's interface for scripts, as Engenho serves it: scripts written for EPM Processor run unmodified.

::

    import epmprocessor as epr

    @epr.applicationMethod('Mean')
    def mean(session, limit=100):
        print(session.timeEvent - session.range)
        return epr.ScopeResult(True)

`session` is not compulsory; other parameters bind by name and their defaults are honoured. Returning ScopeResult(False) or
raising is a failure; returning nothing is a success (samples of EPM Processor return nothing; inferred). Any other value is a
success too, and the result when it is JSON (our choice).
"""

from engenho._registry import declare
from engenho._session import EventInfo, ExecutionInfo, Instance, ScopeContext, ScopeResult, ScopeSession

__all__ = ['EventInfo', 'ExecutionInfo', 'Instance', 'ScopeContext', 'ScopeResult', 'ScopeSession', 'applicationMethod']


def applicationMethod(name):
    """Make a function a method of an application, as EPM Processor does.

    `name`: str, exactly one; unique in its package (EPM's samples collide; Engenho refuses and names both places).
    *args and **kwargs are refused. Returns a decorator that returns the function itself.
    """
    return declare(name, True, 'applicationMethod')
