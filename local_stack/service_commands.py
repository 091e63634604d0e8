"""`run`: a service's own command line, told what the running service was told."""

import os
import subprocess
import sys
from collections.abc import Sequence

from local_stack.credentials import Credentials
from local_stack.environment import ADJUSTABLE, adjusted, environment
from local_stack.home import ROOT, Home
from local_stack.services import SERVICES
from local_stack.state import State
from local_stack.troubles import Trouble


def run(home: Home, state: State, name: str, arguments: Sequence[str]) -> int:
    """Run `python -m <package> <arguments>` of the named service or package; answers its exit code."""
    service = next((one for one in SERVICES if name in {one.name, one.package}), None)
    if service is None:
        known = ", ".join(one.name for one in SERVICES)
        raise Trouble(f"There is no service {name}. There is: {known}.")
    told = environment(service, home, state.layout, Credentials(home.secrets_file))
    defaults = {setting: adjusted(setting) for setting in ADJUSTABLE}
    command = [sys.executable, "-m", service.package, *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | defaults | told, check=False).returncode
