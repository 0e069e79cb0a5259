-- v14 -> v15 (compatible with v5+): What people chose for themselves
CREATE TABLE person (
	user_id TEXT NOT NULL PRIMARY KEY,
	language TEXT NOT NULL -- tag of the language for their direct chats
);
