"""Long-term memory across threads: LangGraph's store, in the SQL database that is there already.

namespaces.py   labels as one text, and what matches them
values.py       items as JSON, and filters on them
meaning.py      texts as vectors, and which of them are near
statements.py   the SQL, for SQLite and PostgreSQL
sql.py          the store itself
"""

from everturn.checkpoints.sql.store.meaning import Meaning
from everturn.checkpoints.sql.store.sql import SQLStore, open_store

__all__ = ["Meaning", "SQLStore", "open_store"]
