-- v3 -> v4: Guarded rooms
-- rounds and told are JSON: the times a drift was set back, and what was reported.
CREATE TABLE guard (
	room_id TEXT    PRIMARY KEY,
	policy  TEXT    NOT NULL,
	rounds  TEXT    NOT NULL,
	stopped BOOLEAN NOT NULL,
	told    TEXT    NOT NULL
);
