-- v15 -> v16 (compatible with v5+): Invitations to e-mail addresses and telephone numbers
-- token is the state key, name the address as the room shows it, command the request that the homeserver asked about.
CREATE TABLE address_invite (
	room_id  TEXT   NOT NULL,
	token    TEXT   NOT NULL,
	event_id TEXT   NOT NULL,
	sender   TEXT   NOT NULL,
	name     TEXT   NOT NULL,
	command  TEXT   NOT NULL,
	at       BIGINT NOT NULL,
	seen_at  BIGINT NOT NULL,
	ended_at BIGINT NOT NULL,
	PRIMARY KEY (room_id, token)
);
CREATE INDEX address_invite_ended ON address_invite (ended_at) WHERE ended_at <> 0;
CREATE INDEX address_invite_command ON address_invite (command) WHERE command <> '';
