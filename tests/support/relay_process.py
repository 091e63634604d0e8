"""A relay in a process of its own, to be killed and stopped: `python -m tests.support.relay_process`.

Reads its settings and topics as JSON from standard input.
"""

import asyncio
import json
import logging
import sys

import structlog

from service_kit.relay import Relay
from tests.support.sample.settings import SampleSettings


def main() -> None:
    told = json.load(sys.stdin)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(Relay(SampleSettings(**told["settings"]), told["topics"]).run())


if __name__ == "__main__":
    main()
