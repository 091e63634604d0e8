"""What a schema is, when two of them are compatible, and what the contract files say. Pure."""
