"""JSON routes of auth_service."""
