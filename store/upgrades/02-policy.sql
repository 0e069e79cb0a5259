-- v1 -> v2: What was spent of quotas, and which rooms spaces claim
-- version changes with each spending, so that two that were judged on the same past can't both be recorded.
CREATE TABLE quota (
	room_id TEXT   PRIMARY KEY,
	version BIGINT NOT NULL
);

-- cmd and part are the key of the invitation.
CREATE TABLE spending (
	cmd     BIGINT NOT NULL,
	part    BIGINT NOT NULL,
	room_id TEXT   NOT NULL,
	actor   TEXT   NOT NULL,
	server  TEXT   NOT NULL,
	at      BIGINT NOT NULL,
	PRIMARY KEY (cmd, part)
);
CREATE INDEX spending_room ON spending (room_id, at);
CREATE INDEX spending_server ON spending (room_id, server, at);
CREATE INDEX spending_actor ON spending (room_id, actor, at);
CREATE INDEX spending_at ON spending (at);

CREATE TABLE space_child (
	child TEXT NOT NULL,
	space TEXT NOT NULL,
	PRIMARY KEY (child, space)
);
