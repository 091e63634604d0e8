"""The smallest service there can be: the kit is tested with it."""
