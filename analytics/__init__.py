"""What the work and the money of the exchange add up to, for administrators.

Owns an append-only log of every event it hears, and views that are nothing but sums over that log: they can
be rebuilt from it at any time (`python -m analytics rebuild`). Hears accounts, tasks, ledger and days. Says
nothing.
"""
