"""Prices work, keeps the ledger, closes business days and pays.

Owns prices, accounts, the journal, business days, payouts and letters. Hears accounts (`auth.accounts`) and
tasks (`tracker.tasks`). Says what was posted and paid (`billing.ledger`) and each day's result
(`billing.days`). Accountants see everything, everybody sees the own account.
"""
