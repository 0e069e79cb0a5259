-- v21 -> v22 (compatible with v5+): Invitations that wait for somebody to join a space
CREATE TABLE space_wait (
	-- only: postgres
	id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	space        TEXT    NOT NULL,
	room_id      TEXT    NOT NULL,
	target       TEXT    NOT NULL,
	actor        TEXT    NOT NULL,
	command      TEXT    NOT NULL,
	command_room TEXT    NOT NULL,
	reason       TEXT    NOT NULL,
	as_bot       BOOLEAN NOT NULL,
	created_at   BIGINT  NOT NULL,
	expires_at   BIGINT  NOT NULL
);
CREATE UNIQUE INDEX space_wait_room ON space_wait (space, target, room_id);
