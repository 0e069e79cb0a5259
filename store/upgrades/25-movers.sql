-- v24 -> v25 (compatible with v5+): Moves of people from one room to another
-- The invitations are those of the command. remind is in nanoseconds, 0 for never.
CREATE TABLE mover (
	-- only: postgres
	id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	command      TEXT   NOT NULL UNIQUE,
	old_room     TEXT   NOT NULL,
	new_room     TEXT   NOT NULL,
	actor        TEXT   NOT NULL,
	command_room TEXT   NOT NULL,
	remind       BIGINT NOT NULL,
	created_at   BIGINT NOT NULL,
	due_at       BIGINT NOT NULL,
	reminded_at  BIGINT NOT NULL
);
CREATE INDEX mover_room ON mover (new_room, id);
CREATE INDEX mover_due ON mover (due_at) WHERE due_at <> 0;
