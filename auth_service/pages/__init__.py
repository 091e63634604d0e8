"""HTML routes of auth_service, and the browser's half of the protocol."""
