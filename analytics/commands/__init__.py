"""Every state change: hear events, apply them to the views, rebuild the views from the log."""

from analytics.commands.rebuilding import Difference, Rebuilt, rebuild_views
from analytics.commands.recording import record_events

__all__ = ["Difference", "Rebuilt", "rebuild_views", "record_events"]
