"""`reconcile`: tracker, billing and analytics compared by facts and by sums, each difference named."""

from local_stack.reconciliation.looking import Verdict, readers_of, reconcile, report

__all__ = ["Verdict", "readers_of", "reconcile", "report"]
