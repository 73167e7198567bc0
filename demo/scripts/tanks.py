"""The tanks: state that is kept between executions, and a report by the clock."""

import time

from engenho import method


@method('TankLevel')
def tank_level(event, session, weight=0.2):
    """A moving mean of each tank's level, kept in session.userCache: one tank at a time, both side by side."""
    mean = session.userCache.get('mean', event.value)
    mean += (event.value - mean) * weight
    session.userCache['mean'] = mean
    session.userCache['count'] = session.userCache.get('count', 0) + 1
    time.sleep(0.02)
    return {'mean': round(mean, 3), 'count': session.userCache['count']}


@method('ShiftReport')
def shift_report(session, shift='morning'):
    """What the clock starts: its time is the one that it was due at."""
    print(f'{shift} report for {session.timeEvent:%H:%M:%S}')
    return {'shift': shift, 'due': session.timeEvent.isoformat()}
