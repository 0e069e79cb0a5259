-- v13 -> v14 (compatible with v5+): Invitations to local users from elsewhere
-- kind, who and other name an entry, such as a blocked server, and until is its end.
CREATE TABLE inbound (
	kind     TEXT   NOT NULL,
	who      TEXT   NOT NULL,
	other    TEXT   NOT NULL,
	until_at BIGINT NOT NULL,
	PRIMARY KEY (kind, who, other)
);
CREATE INDEX inbound_until ON inbound (until_at);
CREATE INDEX ledger_of ON ledger (target) WHERE length(target) < 256;
