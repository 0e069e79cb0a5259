// Package check judges rooms by the Matrix authorization rules for other programs: cases in JSON Lines go in, answers come
// out. It is `usher check`; docs/check.md has the format. Package room has the rules, package words the sentences.
package check

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/room"
	"usher/words"
)

// maxLine is the longest line read by Check, in bytes.
const maxLine = 4 << 20

// Check judges the case on each line and answers it with a line. It answers a malformed line with its number and its fault, and
// skips empty lines. It returns how many lines were malformed, and an error of reading or writing.
func Check(in io.Reader, out io.Writer, voice *words.Voice) (malformed int, err error) {
	lines := bufio.NewReaderSize(in, 64<<10)
	answers := bufio.NewWriter(out)
	encoder := json.NewEncoder(words.Terminal(answers))
	encoder.SetEscapeHTML(false)
	for number := 1; ; number++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return malformed, answers.Flush()
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errLong) {
			return malformed, errors.Join(err, answers.Flush())
		}
		if err == nil && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var out any
		if c, wrong := parseCase(line, err); wrong != nil {
			malformed++
			out = fault{number, wrong.Error()}
		} else {
			out = c.answer(voice)
		}
		if err := encoder.Encode(out); err != nil {
			return malformed, err
		}
		if lines.Buffered() == 0 { // somebody may wait for the answer
			if err := answers.Flush(); err != nil {
				return malformed, err
			}
		}
	}
}

var errLong = fmt.Errorf("line longer than %d bytes", maxLine)

// readLine reads a line without its end. Of an overlong line it returns errLong and the part within the limit. The
// last line may come with io.EOF.
func readLine(r *bufio.Reader) (line []byte, err error) {
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			long = true
		} else {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if long && (err == nil || errors.Is(err, io.EOF)) {
			return line, errLong
		}
		return bytes.TrimSuffix(line, []byte("\n")), err
	}
}

// question is one line of input.
type question struct {
	id     json.RawMessage // as given
	state  room.State
	action room.Action
}

// fault answers a malformed line.
type fault struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

// answer is one line of output.
type answer struct {
	ID      json.RawMessage `json:"id"`
	Verdict string          `json:"verdict"`
	Rule    room.Rule       `json:"rule"`
	Reasons []reason        `json:"reasons"`
	// ClientAPI has the homeservers with a client API known to answer otherwise.
	ClientAPI map[room.Homeserver]apiAnswer `json:"client_api,omitempty"`
}

// apiAnswer is the answer of a client API where it differs from the verdict of the rules.
type apiAnswer struct {
	Verdict string    `json:"verdict"`
	Rule    room.Rule `json:"rule"`
	Errcode string    `json:"errcode,omitempty"`
}

// reason is the evidence of a result, and the sentence for it.
type reason struct {
	Rule   room.Rule `json:"rule"`
	Text   string    `json:"text"`
	State  *stateKey `json:"state,omitempty"`
	User   id.UserID `json:"user,omitempty"`
	Found  string    `json:"found,omitempty"`
	Wanted string    `json:"wanted,omitempty"`
	Had    any       `json:"had,omitempty"` // an integer, or "infinite"
	Needed any       `json:"needed,omitempty"`
}

type stateKey struct {
	Type     string `json:"type"`
	StateKey string `json:"state_key"`
}

func (c question) answer(voice *words.Voice) answer {
	snapshot := room.NewSnapshot(c.state)
	r := room.Authorize(snapshot, c.action)
	e := r.Evidence
	because := reason{Rule: r.Rule, Text: voice.Text(r.Phrase()), User: e.User, Found: e.Found, Wanted: e.Wanted}
	if e.Key != (room.Key{}) {
		because.State = &stateKey{e.Key.Type, e.Key.StateKey}
	}
	if r.ComparesPower() {
		because.Had, because.Needed = power(e.Had), power(e.Needed)
	}
	return answer{c.id, r.Verdict.String(), r.Rule, []reason{because}, otherwise(snapshot, c.action, r)}
}

// otherwise lists the client APIs with another answer than r.
func otherwise(s *room.Snapshot, a room.Action, r room.Result) map[room.Homeserver]apiAnswer {
	var apis map[room.Homeserver]apiAnswer
	for _, hs := range [...]room.Homeserver{room.Synapse, room.Dendrite} {
		api := room.ClientAPI(s, a, hs)
		if api.Verdict == r.Verdict {
			continue
		}
		if apis == nil {
			apis = map[room.Homeserver]apiAnswer{}
		}
		apis[hs] = apiAnswer{api.Verdict.String(), api.Rule, api.Errcode}
	}
	return apis
}

// power is a power level as answers have it.
func power(l room.Level) any {
	if l == room.Infinite {
		return "infinite"
	}
	return int64(l)
}

// parseCase reads a line; err is the error of reading it.
func parseCase(line []byte, err error) (question, error) {
	var c question
	if errors.Is(err, errLong) {
		return c, errLong
	}
	root, _, ok := exactjson.Parse(line)
	if !ok {
		return c, errors.New("not JSON, or an object has a key twice")
	}
	if root.Kind != exactjson.Object {
		return c, errors.New("not a JSON object")
	}
	r := reader{}
	c.id = json.RawMessage(r.want(root, "id", exactjson.String).Raw)
	c.state.Version = id.RoomVersion(r.text(root, "room_version"))
	action := r.want(root, "action", exactjson.Object)
	state := r.want(root, "state", exactjson.Object)
	c.action = r.action(action)
	c.state.Events = r.events(state, c.action)
	return c, r.fault
}

// reader reads a case and keeps the first fault.
type reader struct{ fault error }

func (r *reader) fail(err error) {
	if r.fault == nil {
		r.fault = err
	}
}

// want returns a required member of one kind.
func (r *reader) want(n exactjson.Value, key string, k exactjson.Kind) exactjson.Value {
	v := n.Get(key)
	switch {
	case !v.Exists():
		r.fail(fmt.Errorf("%q is missing", key))
	case v.Kind != k:
		r.fail(fmt.Errorf("%q is not %s", key, kindName(k)))
	}
	return v
}

func kindName(k exactjson.Kind) string {
	if k == exactjson.String {
		return "a string"
	}
	return "an object"
}

func (r *reader) text(n exactjson.Value, key string) string {
	s, _ := r.want(n, key, exactjson.String).Str()
	return s
}

func (r *reader) action(n exactjson.Value) room.Action {
	if n.Kind != exactjson.Object {
		return room.Action{}
	}
	a := room.Action{Type: room.ActionType(r.text(n, "type")), Sender: id.UserID(r.text(n, "sender"))}
	if a.Type.EventType() == "" {
		r.fail(fmt.Errorf("%q is no action type", a.Type))
	}
	if a.Type.Membership() != "" {
		a.Target = id.UserID(r.text(n, "target"))
	}
	a.Content = json.RawMessage(n.Get("content").Raw)
	switch first := n.Get("prev_is_create"); first.Kind {
	case exactjson.None, exactjson.False:
	case exactjson.True:
		a.PrevIsCreate = true
	default:
		r.fail(fmt.Errorf(`"prev_is_create" is not a boolean`))
	}
	return a
}

// events collects the state needed for the action. State missing from the case stays unknown.
func (r *reader) events(state exactjson.Value, a room.Action) map[room.Key]*room.Event {
	events := make(map[room.Key]*room.Event)
	for _, key := range room.Needs(a) {
		switch key.Type {
		case "m.room.create":
			r.event(events, key, state.Get("create"), true)
		case "m.room.join_rules":
			r.event(events, key, state.Get("join_rules"), false)
		case "m.room.power_levels":
			r.event(events, key, state.Get("power_levels"), false)
		case "m.room.member":
			r.entry(events, key, state, "members")
		case "m.room.third_party_invite":
			r.entry(events, key, state, "third_party_invite")
		}
	}
	return events
}

// entry takes an event from a map by state key, as which null is an empty one.
func (r *reader) entry(events map[room.Key]*room.Event, key room.Key, state exactjson.Value, name string) {
	all := state.Get(name)
	switch all.Kind {
	case exactjson.None:
		return
	case exactjson.Null, exactjson.Object:
	default:
		r.fail(fmt.Errorf("%q is not an object", name))
		return
	}
	n := all.Get(key.StateKey)
	if !n.Exists() {
		n.Kind = exactjson.Null
	}
	r.event(events, key, n, name == "third_party_invite")
}

// event takes an event: its content, wrapped together with the sender or not. null is no event.
func (r *reader) event(events map[room.Key]*room.Event, key room.Key, n exactjson.Value, wrapped bool) {
	switch n.Kind {
	case exactjson.None:
		return
	case exactjson.Null:
		events[key] = nil
		return
	}
	e := &room.Event{Content: json.RawMessage(n.Raw)}
	sender, _ := n.Get("sender").Str()
	e.Sender = id.UserID(sender)
	if wrapped {
		if n.Kind != exactjson.Object {
			r.fail(fmt.Errorf("%s is not an object", key.Type))
		}
		e.Content = json.RawMessage(n.Get("content").Raw)
	}
	events[key] = e
}
