-- v2 -> v3: Ledger of invitations seen
CREATE TABLE ledger (
	-- only: postgres
	id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- only: sqlite
	id       INTEGER PRIMARY KEY,
	event_id TEXT    NOT NULL UNIQUE,
	room_id  TEXT    NOT NULL,
	target   TEXT    NOT NULL,
	sender   TEXT    NOT NULL,
	inviter  TEXT    NOT NULL,
	way      TEXT    NOT NULL,
	command  TEXT    NOT NULL,
	at       BIGINT  NOT NULL,
	seen_at  BIGINT  NOT NULL,
	fate     TEXT    NOT NULL,
	ended_at BIGINT  NOT NULL,
	ended_by TEXT    NOT NULL,
	ending   TEXT    NOT NULL,
	reminded BOOLEAN NOT NULL,
	tried_at BIGINT  NOT NULL
);
CREATE INDEX ledger_target ON ledger (room_id, target, id);
CREATE INDEX ledger_at ON ledger (room_id, at, fate, inviter);
CREATE INDEX ledger_inviter ON ledger (room_id, inviter, id);
CREATE INDEX ledger_pending ON ledger (room_id, at, id) WHERE fate = 'pending';

CREATE INDEX invitation_part ON invitation (part);
-- PostgreSQL refuses long index rows, and people type long rooms; those that are asked about are not.
CREATE INDEX audit_room ON audit (room_id, at, id) WHERE length(room_id) < 256;

-- What a room's policy said of open invitations when it was last looked at, in milliseconds; 0 is never.
CREATE TABLE expiry (
	room_id       TEXT   PRIMARY KEY,
	expire_after  BIGINT NOT NULL,
	remind_before BIGINT NOT NULL,
	checked_at    BIGINT NOT NULL
);
CREATE INDEX expiry_rules ON expiry (room_id) WHERE expire_after > 0;
CREATE INDEX expiry_checked ON expiry (checked_at);

-- What a card belongs to.
CREATE INDEX inbox_answer ON inbox (answer) WHERE answer <> '' AND length(answer) < 256;
