-- v19 -> v20 (compatible with v5+): Runs of plans, and what plans remember of people
-- content is the run in JSON, as package plan has it. A note says since when a plan has missed somebody, or when a change was refused.
CREATE TABLE plan_run (
	run_key    TEXT   NOT NULL PRIMARY KEY,
	plan       TEXT   NOT NULL,
	content    TEXT   NOT NULL,
	created_at BIGINT NOT NULL,
	ended_at   BIGINT NOT NULL -- 0: it is under way
);
CREATE INDEX plan_run_open ON plan_run (created_at) WHERE ended_at = 0;
CREATE INDEX plan_run_ended ON plan_run (ended_at) WHERE ended_at <> 0;
CREATE TABLE plan_note (
	plan    TEXT   NOT NULL,
	kind    TEXT   NOT NULL,
	room_id TEXT   NOT NULL,
	user_id TEXT   NOT NULL,
	code    TEXT   NOT NULL,
	at      BIGINT NOT NULL,
	PRIMARY KEY (plan, kind, room_id, user_id)
);
