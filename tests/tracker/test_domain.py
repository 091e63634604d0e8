"""The rules of work."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit.errors import Invalid
from tracker import domain
from tracker.domain import AccountFact, Status, TaskText, parse_title, task_text

jira_ids = st.from_regex(r"[A-Z][A-Z0-9_]{0,9}-[0-9]{1,6}", fullmatch=True)
plain_titles = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"), exclude_characters="[]"),
    min_size=1,
    max_size=150,
).filter(lambda text: bool(text.split()))


@pytest.mark.parametrize(
    ("line", "jira_id", "title"),
    [
        ("[POPUG-17] - Paint the perch", "POPUG-17", "Paint the perch"),
        ("[POPUG-17] Paint the perch", "POPUG-17", "Paint the perch"),
        ("  [popug-17]: Paint", "POPUG-17", "Paint"),
        ("[POPUG-17] \N{EN DASH} Paint", "POPUG-17", "Paint"),
        ("[ POPUG-17 ] - Paint", "POPUG-17", "Paint"),
        ("Paint the perch", None, "Paint the perch"),
        ("POPUG-17 Paint", None, "POPUG-17 Paint"),
        ("[not a key] Paint", None, "[not a key] Paint"),
        ("Paint [POPUG-17]", None, "Paint [POPUG-17]"),
    ],
)
def test_a_pasted_line_is_taken_apart(line: str, jira_id: str | None, title: str) -> None:
    assert parse_title(line) == domain.SplitTitle(jira_id, title)


@given(jira_ids, plain_titles)
def test_what_version_1_joins_the_parser_takes_apart_again(jira_id: str, title: str) -> None:
    text = task_text(title, jira_id, None)
    split = parse_title(text.title_v1)
    # A title that itself begins with a dash loses it to the separator; nothing else is lost.
    assert split.jira_id == text.jira_id
    assert text.title.endswith(split.title)


@given(plain_titles, st.sampled_from("[]"), plain_titles)
def test_no_title_with_a_bracket_passes(before: str, bracket: str, after: str) -> None:
    with pytest.raises(domain.TitleHasBrackets) as refusal:
        task_text(before + bracket + after, None, None)
    assert [error.field for error in refusal.value.errors] == ["title"]


def refuses(check: Callable[[], object]) -> bool:
    try:
        check()
    except Invalid:
        return True
    return False


@given(st.text(max_size=400), st.text(max_size=80), st.text(max_size=400))
def test_any_text_is_either_refused_by_its_field_or_fits_the_contract(
    title: str, jira_id: str, text: str
) -> None:
    try:
        checked = task_text(title, jira_id, text)
    except Invalid as refusal:
        checked, fields = None, {error.field for error in refusal.errors}
    else:
        fields = set()
    alone = {
        "title": lambda: task_text(title, None, None),
        "jira_id": lambda: task_text("a title", jira_id, None),
        "description": lambda: task_text("a title", None, text),
    }
    assert fields == {field for field, check in alone.items() if refuses(check)}, "all of them at once"
    if checked is not None:
        assert 1 <= len(checked.title) <= 200
        assert not {"[", "]", "\x00"} & set(checked.title)
        assert checked.jira_id is None or checked.jira_id == checked.jira_id.strip().upper()
        assert len(checked.title_v1) <= 255
        assert task_text(checked.title, checked.jira_id, checked.description) == checked


@pytest.mark.parametrize("title", ["", "   ", "\n", "x" * 201, "bell\x07", "nul\x00"])
def test_a_title_that_says_nothing_or_too_much_is_refused(title: str) -> None:
    with pytest.raises(domain.TitleInvalid):
        task_text(title, None, None)


def test_spaces_are_tidied_and_a_key_is_written_large() -> None:
    assert task_text("  a \t b ", " key-1 ", "x\r\ny ") == TaskText("a b", "KEY-1", "x\ny")


@pytest.mark.parametrize(
    "jira_id", ["KEY", "1-KEY", "KEY-", "KEY-1x", "[KEY-1]", "\u212aEY-1", "KEY-\u0661", "K" * 50 + "-1"]
)
def test_a_jira_id_is_a_key_and_a_number(jira_id: str) -> None:
    with pytest.raises(domain.JiraIdInvalid):
        task_text("fine", jira_id, None)


def test_only_the_assignee_completes_and_only_once() -> None:
    me, other = uuid4(), uuid4()
    domain.refuse_completion(actor_id=me, assignee_id=me, status=Status.OPEN)
    with pytest.raises(domain.NotTheAssignee):
        domain.refuse_completion(actor_id=other, assignee_id=me, status=Status.OPEN)
    with pytest.raises(domain.TaskAlreadyDone):
        domain.refuse_completion(actor_id=me, assignee_id=me, status=Status.DONE)


@pytest.mark.parametrize(
    ("role", "may"), [("worker", False), ("accountant", False), ("manager", True), ("admin", True)]
)
def test_strangers_edit_only_by_their_role(role: str, may: bool) -> None:  # noqa: FBT001  a table of claims
    assert domain.may_edit(actor_id=uuid4(), role=role, created_by=uuid4(), assignee_id=uuid4()) is may


def test_author_and_assignee_edit() -> None:
    author, assignee = uuid4(), uuid4()
    for actor in (author, assignee):
        assert domain.may_edit(actor_id=actor, role="worker", created_by=author, assignee_id=assignee)


@given(st.integers(1, 20), st.integers(0, 200), st.integers())
def test_a_draw_gives_every_task_somebody_eligible(count: int, tasks: int, seed: int) -> None:
    eligible = [UUID(int=number) for number in range(count)]
    drawn = domain.draw_assignees(Random(seed), eligible, tasks)
    assert len(drawn) == tasks
    assert set(drawn) <= set(eligible)


def test_a_draw_is_uniform() -> None:
    eligible = [UUID(int=number) for number in range(10)]
    drawn = domain.draw_assignees(Random(7), eligible, 10_000)
    expected = 1000
    chi_square = sum((drawn.count(one) - expected) ** 2 / expected for one in eligible)
    assert chi_square < 27.9  # 9 degrees of freedom, p = 0.001


def test_nobody_to_draw_is_said() -> None:
    with pytest.raises(domain.NobodyToAssign):
        domain.draw_assignees(Random(1), [], 3)


def test_account_facts_fold_to_the_same_state_in_any_order() -> None:
    account, noon = uuid4(), datetime(2026, 3, 2, 12, tzinfo=UTC)
    facts = [
        AccountFact(account, noon, role="worker", active=True),
        AccountFact(account, noon + timedelta(hours=1), role="manager"),
        AccountFact(account, noon + timedelta(hours=2), active=False),
        AccountFact(account, noon + timedelta(hours=3), active=True),
    ]
    (expected,) = domain.newest_by_account(facts)
    assert (expected.role, expected.active) == ("manager", True)
    assert all(domain.newest_by_account(order) == [expected] for order in permutations(facts))


def test_both_states_have_labels_in_both_wordings() -> None:
    assert domain.STATUS_LABELS["birds"] == {Status.OPEN: "Birdie in a cage", Status.DONE: "Millet in a bowl"}
    assert domain.STATUS_LABELS["plain"] == {Status.OPEN: "Open", Status.DONE: "Done"}


@pytest.mark.parametrize(("text", "looked_for"), [(None, None), (" \x00 ", None), (" a\x00b  c ", "a b c")])
def test_a_search_holds_nothing_a_text_cannot(text: str | None, looked_for: str | None) -> None:
    assert domain.searched_text(text) == looked_for
