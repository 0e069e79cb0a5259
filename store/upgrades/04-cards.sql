-- v3 -> v4: Cards: what waits for people to decide it, and their votes
-- part is a digest of command, action, room and target: a question is asked once.
CREATE TABLE card (
	-- only: postgres
	id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id         INTEGER PRIMARY KEY,
	part       BIGINT  NOT NULL UNIQUE,
	number     BIGINT  NOT NULL,
	kind       TEXT    NOT NULL,
	room_id    TEXT    NOT NULL,
	shown_in   TEXT    NOT NULL,
	event_id   TEXT    NOT NULL,
	command    TEXT    NOT NULL,
	home       TEXT    NOT NULL,
	action     TEXT    NOT NULL,
	actor      TEXT    NOT NULL,
	target     TEXT    NOT NULL,
	performer  TEXT    NOT NULL,
	reason     TEXT    NOT NULL,
	remark     TEXT    NOT NULL,
	policy     TEXT    NOT NULL,
	votes      BIGINT  NOT NULL,
	level      BIGINT  NOT NULL,
	created_at BIGINT  NOT NULL,
	expires_at BIGINT  NOT NULL,
	state      TEXT    NOT NULL,
	code       TEXT    NOT NULL,
	closed_by  TEXT    NOT NULL,
	answer     TEXT    NOT NULL,
	closed_at  BIGINT  NOT NULL,
	told       BOOLEAN NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX card_number ON card (shown_in, number);
CREATE INDEX card_event ON card (event_id) WHERE event_id <> '';
CREATE INDEX card_todo ON card (id) WHERE NOT told;
CREATE INDEX card_room ON card (room_id, kind, created_at);

-- who is a digest of the voter: each counts once.
CREATE TABLE vote (
	card     BIGINT NOT NULL REFERENCES card (id) ON DELETE CASCADE,
	who      BIGINT NOT NULL,
	voter    TEXT   NOT NULL,
	choice   TEXT   NOT NULL,
	room_id  TEXT   NOT NULL,
	event_id TEXT   NOT NULL,
	reason   TEXT   NOT NULL,
	at       BIGINT NOT NULL,
	PRIMARY KEY (card, who)
);
CREATE INDEX vote_event ON vote (event_id);
