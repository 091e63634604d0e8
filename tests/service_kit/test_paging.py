"""Long lists in pages: cursors that nobody can bend."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit.errors import Invalid
from service_kit.paging import Page, PageRequest, decode_cursor, encode_cursor

MOMENT = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)


class TestCursors:
    def test_values_come_back_as_they_were(self) -> None:
        """Times keep their microseconds and ids their type: a rounded cursor would skip rows."""
        guid = uuid4()
        cursor = encode_cursor(MOMENT, guid, 17, "текст", None)
        assert decode_cursor(cursor, datetime, UUID, int, str, str | None) == (
            MOMENT,
            guid,
            17,
            "текст",
            None,
        )

    @given(st.text(max_size=200))
    def test_anything_else_is_refused(self, cursor: str) -> None:
        """Whatever somebody makes up is a named field that is wrong, never a failure of ours."""
        with pytest.raises(Invalid) as refusal:
            decode_cursor(cursor, datetime, UUID)
        assert [error.field for error in refusal.value.errors] == ["cursor"]

    def test_a_cursor_belongs_to_its_list(self) -> None:
        """The cursor of one order is refused by another."""
        with pytest.raises(Invalid):
            decode_cursor(encode_cursor(MOMENT), UUID)
        with pytest.raises(Invalid):
            decode_cursor(encode_cursor(MOMENT, uuid4()), datetime)


class TestPages:
    @pytest.mark.parametrize(("length", "limit"), [(0, 3), (1, 3), (3, 3), (4, 3), (7, 3), (9, 3), (200, 1)])
    def test_walking_visits_every_row_once(self, length: int, limit: int) -> None:
        """Following `next` to its end shows each row once, in order."""
        rows, seen, cursor, turns = list(range(length)), [], None, 0
        while True:
            asked = PageRequest(limit=limit, cursor=cursor)
            after = asked.after(int)
            left = [row for row in rows if after is None or row > after[0]]
            page = asked.page(left[: limit + 1], lambda row: (row,))
            seen += page.items
            turns += 1
            if page.next is None:
                break
            cursor = page.next
        assert seen == rows
        assert turns == max(1, -(-length // limit))

    def test_a_page_changes_its_items_and_keeps_its_place(self) -> None:
        """Rows become views; the cursor stays."""
        assert Page(items=[1, 2], next="c").of(str) == Page(items=["1", "2"], next="c")

    def test_in_json_the_end_is_null(self) -> None:
        """Callers see the end as an explicit null."""
        assert Page(items=[1]).model_dump_json() == '{"items":[1],"next":null}'
