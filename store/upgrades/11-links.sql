-- v10 -> v11 (compatible with v5+): Invite links
CREATE TABLE link (
	-- only: postgres
	id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	maker      TEXT    NOT NULL,
	max_uses   BIGINT  NOT NULL,
	used       BIGINT  NOT NULL,
	approve    BOOLEAN NOT NULL,
	shows      TEXT    NOT NULL,
	welcome    TEXT    NOT NULL,
	note       TEXT    NOT NULL,
	created_at BIGINT  NOT NULL,
	expires_at BIGINT  NOT NULL,
	ended_at   BIGINT  NOT NULL,
	ended_by   TEXT    NOT NULL
);
CREATE INDEX link_maker ON link (maker);

-- part is a digest of the room: an id may be long.
CREATE TABLE link_room (
	link    BIGINT NOT NULL REFERENCES link (id) ON DELETE CASCADE,
	part    BIGINT NOT NULL,
	room_id TEXT   NOT NULL,
	PRIMARY KEY (link, part)
);
CREATE INDEX link_room_part ON link_room (part);

-- page and code are hashes: a reader of the table can't use a link.
CREATE TABLE link_secret (
	page  TEXT   NOT NULL PRIMARY KEY,
	code  TEXT   NOT NULL UNIQUE,
	knock TEXT   NOT NULL,
	link  BIGINT NOT NULL REFERENCES link (id) ON DELETE CASCADE
);
CREATE INDEX link_secret_link ON link_secret (link);

-- part is a digest of the target: a user uses a link once.
CREATE TABLE link_use (
	-- only: postgres
	id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id     INTEGER PRIMARY KEY AUTOINCREMENT,
	link   BIGINT NOT NULL REFERENCES link (id) ON DELETE CASCADE,
	part   BIGINT NOT NULL,
	target TEXT   NOT NULL,
	ticket TEXT   NOT NULL,
	number BIGINT NOT NULL,
	at     BIGINT NOT NULL
);
CREATE UNIQUE INDEX link_use_part ON link_use (link, part);
CREATE INDEX link_use_ticket ON link_use (ticket);
