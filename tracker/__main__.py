"""`python -m tracker web | worker | migrate`."""

from service_kit.command_line import service_commands
from tracker.settings import TrackerSettings

if __name__ == "__main__":
    service_commands("tracker", TrackerSettings)()
