-- v8 -> v9 (compatible with v5+): Confirmations are cards
-- targets is a JSON list of the users that a confirmed command acts on; '' for other cards, also of an older version.
ALTER TABLE card ADD COLUMN targets TEXT NOT NULL DEFAULT '';
