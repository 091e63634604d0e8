"""Live page updates: a change is noted beside its cause; a stream per page tells what to ask for anew.

A stream carries no content, only names of topics: what has changed is read through the page's own address, so
that a live page and a reloaded one can never differ, and rights are checked where they always are.
"""
