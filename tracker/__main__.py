"""`python -m tracker web | worker | migrate`."""

from service_kit.command_line import service_commands
from tracker.app import web
from tracker.settings import TrackerSettings
from tracker.worker import work

if __name__ == "__main__":
    service_commands("tracker", TrackerSettings, web, work)()
