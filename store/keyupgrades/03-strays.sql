-- v2 -> v3 (compatible with v1+): Rows of the library that strangers caused, to bound them
CREATE TABLE usher_stray (
	kind        TEXT   NOT NULL,
	object      TEXT   NOT NULL,
	sender      TEXT   NOT NULL,
	server      TEXT   NOT NULL,
	received_at BIGINT NOT NULL,
	PRIMARY KEY (kind, object)
);
CREATE INDEX usher_stray_sender_idx ON usher_stray (kind, sender, received_at);
CREATE INDEX usher_stray_server_idx ON usher_stray (kind, server, received_at);
CREATE INDEX usher_stray_age_idx ON usher_stray (kind, received_at);
