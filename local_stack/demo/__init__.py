"""Work for an exchange to show: made up by a seed, or taken from the history of a git repository.

Either is a `Story`: people, tasks with the times at which they came and were done, and presses of the
Distribute button. The loader plays it through the same API as a click, day by day of business time.
"""
