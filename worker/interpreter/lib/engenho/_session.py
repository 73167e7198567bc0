"""What a method sees as `session`. EPM Processor's ScopeSession has the same members; so both kinds of method share it."""

import enum
import json
from collections import OrderedDict
from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def instant(unix_us):
    """The aware UTC datetime of `unix_us` microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=unix_us)


class ScopeContext(enum.Enum):
    """Why a method runs. `session.scopeContext == ScopeContext.Test` and `== session.scopeContext.Test` both work.

    Where this comes from: the three names are EPM Processor's; the values are not public and ours. A run on demand is a Test.
    """

    Test = 0
    Simulation = 1
    Production = 2


class ScopeResult:
    """What an EPM method returns. `succeeded`: bool."""

    def __init__(self, succeeded):
        self.succeeded = bool(succeeded)

    def __repr__(self):
        return f'ScopeResult({self.succeeded})'


class ExecutionInfo:
    """The last execution of a production.

    `when`: datetime, UTC, the event's time of that execution (our choice). `scopeResult`: ScopeResult; `succeeded`: its bool.
    """

    def __init__(self, when, scopeResult):
        self.when = when
        self.scopeResult = scopeResult

    @property
    def succeeded(self):
        return self.scopeResult.succeeded

    def __repr__(self):
        return f'ExecutionInfo({self.when!r}, {self.scopeResult!r})'


class Span(float):
    """A time span that serves the three spellings found in scripts for EPM Processor.

    ``t - session.range`` (as a timedelta), ``timedelta(session.range)`` (a number of days) and
    ``timedelta(seconds=session.processInterval)`` (a number of seconds): as a float it is a number of its own unit, days for
    `range` and seconds for `processInterval`; with datetimes and timedeltas it behaves as a timedelta, members included.
    Where this comes from: EPM.md of the design: manual and existing scripts disagree, so all of them work.
    """

    def __new__(cls, delta, unit):
        self = super().__new__(cls, delta / unit)
        self._delta = delta
        self._unit = unit
        return self

    days = property(lambda self: self._delta.days, doc='int, as timedelta.days')
    seconds = property(lambda self: self._delta.seconds, doc='int, as timedelta.seconds')
    microseconds = property(lambda self: self._delta.microseconds, doc='int, as timedelta.microseconds')

    def total_seconds(self):
        """float: the whole span in seconds, whatever the unit."""
        return self._delta.total_seconds()

    def timedelta(self):
        """The span as a plain datetime.timedelta."""
        return self._delta

    def _other(self, other):
        if isinstance(other, Span):
            return other._delta
        return other if isinstance(other, timedelta) else None

    def __radd__(self, other):
        if isinstance(other, (datetime, timedelta)):
            return other + self._delta
        return float.__radd__(self, other)

    def __rsub__(self, other):
        if isinstance(other, (datetime, timedelta)):
            return other - self._delta
        return float.__rsub__(self, other)

    def __add__(self, other):
        if isinstance(other, datetime):
            return other + self._delta
        delta = self._other(other)
        return float.__add__(self, other) if delta is None else Span(self._delta + delta, self._unit)

    def __sub__(self, other):
        delta = self._other(other)
        return float.__sub__(self, other) if delta is None else Span(self._delta - delta, self._unit)

    def __neg__(self):
        return Span(-self._delta, self._unit)

    def __mul__(self, other):
        if isinstance(other, (int, float)) and not isinstance(other, Span):
            return Span(self._delta * other, self._unit)
        return float.__mul__(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other):
        delta = self._other(other)
        if delta is not None:
            return self._delta / delta
        if isinstance(other, (int, float)):
            return Span(self._delta / other, self._unit)
        return NotImplemented

    def __rtruediv__(self, other):
        if isinstance(other, timedelta):
            return other / self._delta
        return float.__rtruediv__(self, other)

    def __eq__(self, other):
        delta = self._other(other)
        return float.__eq__(self, other) if delta is None else self._delta == delta

    def __ne__(self, other):
        return not self == other

    def __lt__(self, other):
        delta = self._other(other)
        return float.__lt__(self, other) if delta is None else self._delta < delta

    def __le__(self, other):
        delta = self._other(other)
        return float.__le__(self, other) if delta is None else self._delta <= delta

    def __gt__(self, other):
        delta = self._other(other)
        return float.__gt__(self, other) if delta is None else self._delta > delta

    def __ge__(self, other):
        delta = self._other(other)
        return float.__ge__(self, other) if delta is None else self._delta >= delta

    def __hash__(self):
        return float.__hash__(self)

    def __reduce__(self):
        return Span, (self._delta, self._unit)

    def __repr__(self):
        return f'Span({self._delta!r})'

    def __str__(self):
        return str(self._delta)


class Instance:
    """The instance of an EPM event. `name`: str such as '1:Pump14'."""

    def __init__(self, name):
        self.name = name


class EventInfo:
    """Of an EPM event. `name`: str; `payload`: dict name -> value; `instance`: Instance or None."""

    def __init__(self, name, payload, instance):
        self.name = name
        self.payload = payload
        self.instance = instance


class ScopeSession:
    """The session of an execution.

    timeEvent           datetime, aware, UTC: the event's time, the schedule's nominal time, the time it is run for, or now
    range               Span; as a number: days
    processInterval     Span; as a number: seconds
    parametersMap       dict name -> value: the application's session parameters
    userCache           dict kept between executions; its values must be JSON. Kept when the method returns, not when it raises
    lastExecutedInfo    ExecutionInfo, or None the first time
    connections         OrderedDict name -> connection, only those that the method's parameters use
    scopeContext        ScopeContext
    eventInfo           EventInfo of an EPM event, else None
    executionId         str: the same in every attempt; a key for what must not be done twice
    attempt             int, from 1
    event               Event or None

    Where this comes from: names and kinds are EPM Processor's (the constructor's order too), but for the last three,
    which are Engenho's; what is kept of userCache after a failure is not public and our choice.
    """

    def __init__(self, timeEvent, range, processInterval, parametersMap, userCache, lastExecutedInfo, connectionsMap,
                 scopeContext):
        self.timeEvent = timeEvent
        self.range = range
        self.processInterval = processInterval
        self.parametersMap = parametersMap
        self.userCache = userCache
        self.lastExecutedInfo = lastExecutedInfo
        self.connections = connectionsMap
        self.scopeContext = scopeContext
        self.eventInfo = None
        self.executionId = ''
        self.attempt = 1
        self.event = None


class Session(ScopeSession):
    """The session of a plain function: as ScopeSession, but userCache needs ``state: true`` in the production."""

    @property
    def userCache(self):
        if self._cache is None:
            raise AttributeError('session.userCache needs `state: true` in the production')
        return self._cache

    @userCache.setter
    def userCache(self, value):
        self._cache = value


_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_KIND_DEMAND, _KIND_SIMULATION = 4, 5


def _context(kind):
    if kind == _KIND_SIMULATION:
        return ScopeContext.Simulation
    return ScopeContext.Test if kind == _KIND_DEMAND else ScopeContext.Production


def _last(text):
    if not text:
        return None
    last = json.loads(text)
    return ExecutionInfo(instant(last['when_us']), ScopeResult(last['succeeded']))


def make(epm, state, range_us, interval_us, session_parameters, time_us, kind, cache, last, execution_id, attempt, event):
    """The session of one execution; called by the interpreter."""
    session = (ScopeSession if epm else Session)(
        instant(time_us), Span(timedelta(microseconds=range_us), _DAY), Span(timedelta(microseconds=interval_us), _SECOND),
        {name: json.loads(text) for name, text in session_parameters}, (json.loads(cache) if cache else {}) if state else None,
        _last(last), OrderedDict(), _context(kind))
    session.executionId = execution_id
    session.attempt = attempt
    session.event = event
    if event is not None and event.name:
        instance = event.instance
        session.eventInfo = EventInfo(event.name, event.payload, Instance(instance) if instance else None)
    return session
