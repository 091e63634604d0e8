"""The `ates` command: a whole exchange on one machine.

Starts PostgreSQL, Kafka, the gateway and every service as programs of their own, keeps them running, fills
them with demo work and plays nights. It imports no service: what it knows of them is their command line,
their settings, their HTTP API and their tables.
"""
