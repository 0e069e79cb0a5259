-- v23 -> v24 (compatible with v5+): Searches of the ledger
CREATE INDEX ledger_by ON ledger (room_id, inviter, at, id, fate);
CREATE INDEX ledger_fate ON ledger (room_id, fate, at, id);
