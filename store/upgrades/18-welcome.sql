-- v17 -> v18 (compatible with v5+): Whom to welcome
-- Somebody who came in after an invitation through Usher. request is the one of the invitation. batch names the message that welcomes them,
-- 0 before there is one. begun_at is when the message was last tried, told_at when it was sent; 0 for not yet.
CREATE TABLE welcome (
	-- only: postgres
	id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	room_id   TEXT   NOT NULL,
	target    TEXT   NOT NULL,
	inviter   TEXT   NOT NULL,
	request   TEXT   NOT NULL,
	joined_at BIGINT NOT NULL,
	batch     BIGINT NOT NULL,
	begun_at  BIGINT NOT NULL,
	told_at   BIGINT NOT NULL
);
CREATE INDEX welcome_room ON welcome (room_id, id) WHERE told_at = 0;
CREATE INDEX welcome_told ON welcome (room_id, told_at) WHERE told_at > 0;
CREATE INDEX welcome_joined ON welcome (joined_at);
