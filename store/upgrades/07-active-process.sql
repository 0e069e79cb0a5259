-- v6 -> v7 (compatible with v5+): Which process acts
-- One row. Each process that becomes active counts term up; commits of the inbox name the term, so that those of an earlier process fail.
-- On SQLite nobody reads it.
CREATE TABLE active_process (
	id INTEGER PRIMARY KEY,
	term BIGINT NOT NULL,
	address TEXT NOT NULL
);
INSERT INTO active_process (id, term, address) VALUES (1, 0, '');
