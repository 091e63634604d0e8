"""How one HTTP request is served: what the process holds, transactions, repeats, guards, failures.

`service_kit.web` is the door to it for services; modules here never import that door.
"""
