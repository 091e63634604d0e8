"""The way of an event, hop by hop, as far as one service saw it; a page joins what all services saw.

A service reads its own outbox, inbox and dead letters and nobody else's. The page asks the services that an
administrator is signed in to, from the browser, with the ids of the events found so far, until no service
finds another one.
"""
