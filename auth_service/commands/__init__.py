"""Every change of state in auth_service, one function per use case."""
