-- v1 -> v2 (compatible with v1+): What replicas ask the one that has the device
-- Answers are waited for; after a crash of the server nobody does. The contents are encrypted.
-- only: postgres until "end only"
CREATE UNLOGGED TABLE usher_question (
	id       BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	question BYTEA       NOT NULL,
	answer   BYTEA,
	asked_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
-- end only postgres
