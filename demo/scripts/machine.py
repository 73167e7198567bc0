"""The machine: plain functions, which need nothing but Engenho."""

from engenho import method


@method('Overheat')
def overheat(event, limit=100):
    """The temperature has just risen above the limit: say by how much."""
    print(f'{event.object} rose to {event.value}')
    return {'over': round(event.value - limit, 2)}


@method('Efficiency')
def efficiency(flow=10.0, power=4.0):
    """How much flow (m3/h) a kilowatt gives: run on demand."""
    return {'efficiency': round(flow / power, 3)}


@method('Inspect')
def inspect(event):
    """A script that fails, so that its failures can be seen: the sensor's value makes no sense."""
    raise ValueError(f'{event.object} says {event.value} mm/s: is the sensor loose?')
