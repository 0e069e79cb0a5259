-- v0 -> v1: Inbox, quarantine, invitations, audit, create events
CREATE TABLE inbox (
	-- only: postgres
	seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	seq         INTEGER PRIMARY KEY,
	event_id    TEXT    NOT NULL UNIQUE,
	room_id     TEXT    NOT NULL,
	sender      TEXT    NOT NULL,
	type        TEXT    NOT NULL,
	state_key   TEXT,
	raw         BYTEA   NOT NULL,
	sent_at     BIGINT  NOT NULL,
	received_at BIGINT  NOT NULL,
	redacted    BOOLEAN NOT NULL,
	answer      TEXT    NOT NULL,
	handled     BOOLEAN NOT NULL DEFAULT false
);
CREATE INDEX inbox_waiting ON inbox (seq) WHERE NOT handled;
CREATE INDEX inbox_handled ON inbox (received_at) WHERE handled;

CREATE TABLE quarantine (
	-- only: postgres
	id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id          INTEGER PRIMARY KEY,
	txn         TEXT   NOT NULL,
	raw         BYTEA  NOT NULL,
	fault       TEXT   NOT NULL,
	received_at BIGINT NOT NULL
);
CREATE INDEX quarantine_received ON quarantine (received_at);

-- cmd and part are digests, of the command and of action, room and target: PostgreSQL refuses long index rows, people
-- type long targets, and one small index serves both to find a command's rows and to have each once.
CREATE TABLE invitation (
	-- only: postgres
	id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id           INTEGER PRIMARY KEY,
	cmd          BIGINT  NOT NULL,
	part         BIGINT  NOT NULL,
	command      TEXT    NOT NULL,
	command_room TEXT    NOT NULL,
	action       TEXT    NOT NULL,
	room_id      TEXT    NOT NULL,
	via          TEXT    NOT NULL,
	target       TEXT    NOT NULL,
	actor        TEXT    NOT NULL,
	performer    TEXT    NOT NULL,
	reason       TEXT    NOT NULL,
	status       TEXT    NOT NULL,
	code         TEXT    NOT NULL,
	detail       TEXT    NOT NULL,
	attempt      INTEGER NOT NULL,
	due_at       BIGINT  NOT NULL,
	leased_until BIGINT  NOT NULL,
	created_at   BIGINT  NOT NULL,
	settled_at   BIGINT  NOT NULL,
	UNIQUE (cmd, part)
);
CREATE INDEX invitation_due ON invitation (due_at, id) WHERE status = 'open';

-- cmd and part are as above; part is set for the decisions of a command only, which are written once.
CREATE TABLE audit (
	-- only: postgres
	id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id        INTEGER PRIMARY KEY,
	cmd       BIGINT NOT NULL,
	part      BIGINT,
	at        BIGINT NOT NULL,
	kind      TEXT   NOT NULL,
	action    TEXT   NOT NULL,
	room_id   TEXT   NOT NULL,
	actor     TEXT   NOT NULL,
	performer TEXT   NOT NULL,
	target    TEXT   NOT NULL,
	verdict   TEXT   NOT NULL,
	code      TEXT   NOT NULL,
	policy    TEXT   NOT NULL,
	command   TEXT   NOT NULL,
	UNIQUE (cmd, part)
);

CREATE TABLE create_event (
	room_id TEXT  PRIMARY KEY,
	raw     BYTEA NOT NULL
);

CREATE TABLE ping (n BIGINT NOT NULL);
INSERT INTO ping (n) VALUES (0);
