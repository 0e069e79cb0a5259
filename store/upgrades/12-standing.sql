-- v11 -> v12 (compatible with v5+): Whose standing has turned, and which spaces govern rooms
-- turned is the last finding about an open invitation that was acted on or told, such as withdraw.listed.
ALTER TABLE ledger ADD COLUMN turned TEXT NOT NULL DEFAULT '';
-- told is what a room with open invitations was told last about something that can't be read; '' for nothing.
ALTER TABLE expiry ADD COLUMN told TEXT NOT NULL DEFAULT '';
-- governs: the room was seen to inherit a policy from the space.
ALTER TABLE space_child ADD COLUMN governs BOOLEAN NOT NULL DEFAULT false;
-- Member events that their own server dated earlier than they came, by more than the usual delay.
CREATE TABLE late_member (
	event_id TEXT   PRIMARY KEY,
	seen_at  BIGINT NOT NULL
);
CREATE INDEX late_member_seen ON late_member (seen_at);
