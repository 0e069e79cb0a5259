-- v7 -> v8 (compatible with v5+): Where each change came from
-- command is the request of a change; event_id is the event that led to it, '' for none. Both new columns are '' for rows that an older
-- version recorded, also beside this one, until the row is claimed: see origin.go.
ALTER TABLE invitation ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE invitation ADD COLUMN event_id TEXT NOT NULL DEFAULT '';
