-- v0 -> v1: Rooms known to be encrypted, and the row that a transaction locks by
CREATE TABLE usher_encrypted_room (
	room_id  TEXT  PRIMARY KEY,
	settings BYTEA NOT NULL
);

CREATE TABLE usher_lock (n BIGINT NOT NULL);
INSERT INTO usher_lock (n) VALUES (0);
