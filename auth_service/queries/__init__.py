"""Every read of auth_service."""
