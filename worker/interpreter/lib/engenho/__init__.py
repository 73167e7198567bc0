"""What scripts import to run in Engenho without needing EPM Processor's names.

A method is a plain function with a name::

    from engenho import method

    @method('Overheat')
    def overheat(event, limit=100):
        print(f'{event.object} rose to {event.value}')

Arguments bind by name: ``event`` is the :class:`Event` that started the execution (None where none did: a schedule, a run on
demand), ``session`` the :class:`Session`; every other parameter takes its value from the production, the application, or
its default. What the function returns becomes the result, as JSON. An exception is a failure, which is retried as the
production says; :class:`NotRetryable` is a failure that is not.

Where this comes from: all of it is Engenho's own choice. EPM Processor's interface is the module ``epmprocessor``.
"""

from _engenho import Event

from engenho._errors import NotRetryable
from engenho._registry import method
from engenho._session import EventInfo, Instance, Session, Span

__all__ = ['Event', 'EventInfo', 'Instance', 'NotRetryable', 'Session', 'Span', 'method']
