"""The pumps: a method written for EPM Processor, unchanged."""

import epmprocessor as epr


@epr.applicationMethod('PumpSwitches')
def pump_switches(session, name):
    """Count how often the pumps have switched: one execution at a time, with one userCache for all of them."""
    session.userCache['switches'] = session.userCache.get('switches', 0) + 1
    print('{}: switch number {} at {}'.format(name, session.userCache['switches'], session.timeEvent))
    return epr.ScopeResult(True)
