-- v20 -> v21 (compatible with v5+): Sessions of the dashboard
-- hash is of the secret: a reader of the table can't use it. part is a digest of the user.
CREATE TABLE session (
	hash       TEXT   NOT NULL PRIMARY KEY,
	kind       TEXT   NOT NULL,
	part       BIGINT NOT NULL,
	user_id    TEXT   NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX session_part ON session (part, kind, created_at);
CREATE INDEX session_expires ON session (expires_at);
