"""Loading a demo with progress on the screen, and remembering that it was done."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from local_stack import clock
from local_stack.client import connect
from local_stack.demo.git_history import read_history, story_of
from local_stack.demo.loader import Loaded, load, refuse_second_story, steps
from local_stack.demo.made_up import made_up
from local_stack.demo.story import Story
from local_stack.home import Home
from local_stack.night import business_zone
from local_stack.state import State
from local_stack.troubles import Trouble
from local_stack.written_files import read_json, write_json

DAYS = 14
SEED = 20


def load_at_first_start(home: Home, state: State, console: Console) -> None:
    """Load the made-up fortnight, unless this exchange has a past already."""
    known = read_json(home.demo_file)
    if known is None:
        try:
            asyncio.run(_refuse_second_story(home, state))
        except Trouble:
            write_json(home.demo_file, {"state": "not needed"})
            return
        load_made_up(home, state, console, days=DAYS, seed=SEED)
    elif known["state"] == "loading":
        # It was killed with the clock in the past.
        clock.set_offset(home, timedelta())
        write_json(home.demo_file, {"state": "interrupted"})
        console.print("The demo was interrupted while it was loaded. ./ates reset begins anew.")


def load_made_up(home: Home, state: State, console: Console, *, days: int, seed: int) -> None:
    zone = business_zone()
    story = made_up(days, seed, datetime.now(UTC), zone)
    _load(home, state, console, story, f"{days} past days of work", password=True)


def load_git(home: Home, state: State, console: Console, repository: Path) -> None:
    story = story_of(read_history(repository), datetime.now(UTC))
    # Office people sign in; hundreds of authors with a password each would cost minutes of hashing.
    _load(home, state, console, story, f"History of {repository.resolve().name}", password=False)


def _load(home: Home, state: State, console: Console, story: Story, title: str, *, password: bool) -> None:
    asyncio.run(_refuse_second_story(home, state))
    write_json(home.demo_file, {"state": "loading"})
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=steps(story))
        loaded: Loaded = asyncio.run(
            load(home, state, story, lambda done, _what: bar.advance(task, done), password=password)
        )
    write_json(home.demo_file, {"state": "loaded", "title": title, "workers_sign_in": password})
    console.print(
        f"{title}: {loaded.people} people, {loaded.tasks} tasks on {loaded.days} days, "
        f"{loaded.completed} of them done."
    )


async def _refuse_second_story(home: Home, state: State) -> None:
    async with connect(home, state) as client:
        await refuse_second_story(client)
