-- v12 -> v13 (compatible with v5+): Indexes for what is deleted by age
CREATE INDEX invitation_refused ON invitation (settled_at) WHERE status = 'refused';
CREATE INDEX card_closed ON card (closed_at) WHERE told;
