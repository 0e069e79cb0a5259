-- v4 -> v5: Guarded rooms
-- rounds and told are JSON: the times a drift was set back, and what was reported.
CREATE TABLE guard (
	room_id TEXT    PRIMARY KEY,
	policy  TEXT    NOT NULL,
	rounds  TEXT    NOT NULL,
	stopped BOOLEAN NOT NULL,
	told    TEXT    NOT NULL
);

-- The ledger has the same.
CREATE INDEX IF NOT EXISTS invitation_target ON invitation (room_id, target) WHERE length(room_id) < 256 AND length(target) < 256;
