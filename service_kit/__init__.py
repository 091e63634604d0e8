"""What every service is built from. Knows no service.

A module enters the kit only when two services need it, and its docstring names one job.
"""
