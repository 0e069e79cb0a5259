-- v9 -> v10 (compatible with v5+): Audit as a chain of hashes
-- hash is NULL in rows of earlier versions. The chain runs over them, too.
ALTER TABLE audit ADD COLUMN hash TEXT;
-- One row: the last row in the chain with its hash, and the hash before the first row, once earlier rows were deleted by age.
CREATE TABLE audit_chain (
	id     INTEGER PRIMARY KEY,
	last   BIGINT NOT NULL,
	hash   TEXT   NOT NULL,
	base   TEXT   NOT NULL
);
INSERT INTO audit_chain (id, last, hash, base) VALUES (1, 0, '', '');
