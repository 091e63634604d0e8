"""Ground forms without their last vowels: the stemmer alone takes some forms of one word for two.

"попугай" becomes "попуга" and "попугая" becomes "попуг"; both end up as "попуг" here.
"""

from alembic import op

revision = "tracker_0003"
down_revision = "tracker_0002"
branch_labels = None
depends_on = None

SEARCH_WORDS = """
CREATE FUNCTION search_words(words text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT DISTINCT CASE WHEN length(short) >= 3 THEN short ELSE lexeme END
    FROM unnest(to_tsvector('pg_catalog.russian'::regconfig, words)) AS found,
        LATERAL (SELECT regexp_replace(found.lexeme, '[аеёиоуыэюяйь]+$', '') AS short) AS cut
)
"""

SEARCH_QUERY = """
CREATE FUNCTION search_query(words text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT to_tsquery('pg_catalog.simple'::regconfig, string_agg(quote_literal(word) || ':*', ' & '))
    FROM unnest(search_words(words)) AS word
)
"""


def upgrade() -> None:
    op.execute(SEARCH_WORDS)
    op.execute(SEARCH_QUERY)
    op.execute(
        "UPDATE task_search SET document = array_to_tsvector(search_words(title || ' ' || description))"
        " FROM tasks WHERE tasks.id = task_search.task_id"
    )
