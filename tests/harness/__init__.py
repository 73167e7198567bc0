"""What the tests start and ask: real Kafka, Redis and Engenho's own programs, on free ports, stopped by process id.

    from tests.harness import Kafka, Redis, System, proto
"""

from tests.harness.kafka import Kafka
from tests.harness.redis import Redis
from tests.harness.system import System

__all__ = ["Kafka", "Redis", "System"]
