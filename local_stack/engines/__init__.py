"""The engines of a local exchange: PostgreSQL, Kafka and the gateway, each as files, command line and probe.

An engine module says what to write and what to run; who runs it and keeps it running is the supervisor, or
a test session.
"""
