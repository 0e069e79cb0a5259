-- v22 -> v23 (compatible with v5+): Who was welcomed by the words of which space
-- giver is the room whose policy has the words of a message, if they count in several rooms, or reach people elsewhere; else empty.
ALTER TABLE welcome ADD COLUMN giver TEXT NOT NULL DEFAULT '';
CREATE INDEX welcome_giver ON welcome (target, giver) WHERE giver <> '';
