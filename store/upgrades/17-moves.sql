-- v16 -> v17 (compatible with v5+): Upgrades of rooms that are carried over
-- part is a digest of both rooms. new_room is empty while the homeserver makes it. rest and notes are JSON lists.
CREATE TABLE upgrade (
	-- only: postgres
	id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	part       BIGINT NOT NULL UNIQUE,
	old_room   TEXT   NOT NULL,
	new_room   TEXT   NOT NULL,
	actor      TEXT   NOT NULL,
	performer  TEXT   NOT NULL,
	command    TEXT   NOT NULL,
	version    TEXT   NOT NULL,
	step       BIGINT NOT NULL,
	rest       TEXT   NOT NULL,
	notes      TEXT   NOT NULL,
	due_at     BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX upgrade_due ON upgrade (due_at) WHERE due_at <> 0;
