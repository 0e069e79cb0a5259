-- v18 -> v19 (compatible with v5+): Invitations by e-mail
-- address is empty once the state is final. hash and domain are keyed hashes; part is a digest of the room.
CREATE TABLE letter (
	-- only: postgres
	id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	request      TEXT   NOT NULL,
	command_room TEXT   NOT NULL,
	room_id      TEXT   NOT NULL,
	part         BIGINT NOT NULL,
	maker        TEXT   NOT NULL,
	server       TEXT   NOT NULL,
	address      TEXT   NOT NULL,
	hash         TEXT   NOT NULL,
	domain       TEXT   NOT NULL,
	language     TEXT   NOT NULL,
	link         BIGINT NOT NULL REFERENCES link (id) ON DELETE CASCADE,
	state        TEXT   NOT NULL,
	code         TEXT   NOT NULL,
	detail       TEXT   NOT NULL,
	attempt      BIGINT NOT NULL,
	told         BOOLEAN NOT NULL,
	created_at   BIGINT NOT NULL,
	queued_at    BIGINT NOT NULL,
	due_at       BIGINT NOT NULL,
	sent_at      BIGINT NOT NULL,
	settled_at   BIGINT NOT NULL
);
CREATE INDEX letter_hash ON letter (hash);
CREATE INDEX letter_part ON letter (part);
CREATE INDEX letter_state ON letter (state, due_at);
CREATE INDEX letter_queued ON letter (queued_at);
CREATE INDEX letter_link ON letter (link);

-- The addresses that get no letters, as hashes.
CREATE TABLE letter_block (
	hash TEXT   NOT NULL PRIMARY KEY,
	at   BIGINT NOT NULL
);
