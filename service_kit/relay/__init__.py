"""Sends the outbox to Kafka in id order per slot, and moves on only after the broker's answer.

A slot is a share of the keys. Slots are spread over the worker processes of a service by leases (`slots`). A
process reads the rows of its slots by a cursor on the id, which never passes a gap before every transaction
that might still fill it has ended (`reading`), and sends them in batches, one per partition (`sending`).
Reading by transaction id, or unlocked rows first, would invert a key's facts (see decisions 0002 and 0016).
"""

from service_kit.relay.running import Relay

__all__ = ["Relay"]
