package harness

import "encoding/json"

// Event is what tests look at in an event, from a transaction or a /sync.
type Event struct {
	ID       string          `json:"event_id"`
	Room     string          `json:"room_id"`
	Type     string          `json:"type"`
	Sender   string          `json:"sender"`
	StateKey *string         `json:"state_key"`
	Redacts  string          `json:"redacts"`
	Content  json.RawMessage `json:"content"`
	Unsigned json.RawMessage `json:"unsigned"`

	// Wire is the type that the homeserver saw. It is m.room.encrypted where Type and Content were decrypted.
	Wire string `json:"-"`
}

// Is reports whether the event is state with the given key.
func (e Event) Is(key string) bool { return e.StateKey != nil && *e.StateKey == key }

// Field returns a field of the content as a string, empty when it is absent or none.
func (e Event) Field(name string) string {
	var content map[string]json.RawMessage
	var value string
	_ = json.Unmarshal(e.Content, &content)
	_ = json.Unmarshal(content[name], &value)
	return value
}

// Relation is how an event relates to another.
type Relation struct {
	Type    string // rel_type
	On      string // event id that it relates to
	Key     string // of a reaction
	ReplyTo string
}

// Relation returns the event's m.relates_to.
func (e Event) Relation() Relation {
	var content struct {
		RelatesTo struct {
			Type    string `json:"rel_type"`
			On      string `json:"event_id"`
			Key     string `json:"key"`
			InReply struct {
				Event string `json:"event_id"`
			} `json:"m.in_reply_to"`
		} `json:"m.relates_to"`
	}
	_ = json.Unmarshal(e.Content, &content)
	r := content.RelatesTo
	return Relation{Type: r.Type, On: r.On, Key: r.Key, ReplyTo: r.InReply.Event}
}
