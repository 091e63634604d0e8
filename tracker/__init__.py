"""The task tracker: who has what to do.

Owns tasks, who they were assigned to and their history. Hears accounts (`auth.accounts`), of which it keeps
the id, the role and whether they are active, and prices of tasks
(`billing.prices`). Says `TaskCreated`, `TaskUpdated`, `TaskAssigned` and
`TaskCompleted` on `tracker.tasks`.
"""
