"""The bus: what may be lost between processes, in memory or through Redis."""

from service.bus.local import LocalBus
from service.bus.protocol import EVERY_SWEEP, WAKE, Bus, Message, Messages, sweep_topic

__all__ = [
    "EVERY_SWEEP",
    "WAKE",
    "Bus",
    "LocalBus",
    "Message",
    "Messages",
    "sweep_topic",
]
