package room

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"usher/exactjson"

	"maunium.net/go/mautrix/id"
)

// maxLine is the longest line, in bytes, that Check reads.
const maxLine = 4 << 20

// Check judges cases in JSON Lines, one a line, and answers each with a line (docs/check.md has the format). It is what
// `usher check` does. A malformed line is answered with its number and fault, and the rest go on; empty lines are
// skipped. It returns how many lines were malformed, and an error of reading or writing.
func Check(in io.Reader, out io.Writer) (malformed int, err error) {
	lines := bufio.NewReaderSize(in, 64<<10)
	answers := bufio.NewWriter(out)
	encoder := json.NewEncoder(answers)
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
		var answer any
		if c, fault := parseCase(line, err); fault != nil {
			malformed++
			answer = checkFault{number, fault.Error()}
		} else {
			answer = c.answer()
		}
		if err := encoder.Encode(answer); err != nil {
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

// readLine reads a line without its end. Of a line that is too long it returns errLong and the part that fits. The
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

// checkCase is one line of input.
type checkCase struct {
	id     json.RawMessage // as given
	state  State
	action Action
}

type checkFault struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

type checkAnswer struct {
	ID      json.RawMessage `json:"id"`
	Verdict string          `json:"verdict"`
	Rule    Rule            `json:"rule"`
	Reasons []checkReason   `json:"reasons"`
	// ClientAPI has the homeservers whose client API is known to answer otherwise.
	ClientAPI map[Homeserver]checkAPI `json:"client_api,omitempty"`
}

// checkAPI is what a client API answers where that is not the verdict of the rules.
type checkAPI struct {
	Verdict string `json:"verdict"`
	Rule    Rule   `json:"rule"`
	Errcode string `json:"errcode,omitempty"`
}

// checkReason is the evidence of a result, and the sentence for it.
type checkReason struct {
	Rule   Rule        `json:"rule"`
	Text   string      `json:"text"`
	State  *checkState `json:"state,omitempty"`
	User   id.UserID   `json:"user,omitempty"`
	Found  string      `json:"found,omitempty"`
	Wanted string      `json:"wanted,omitempty"`
	Had    any         `json:"had,omitempty"` // an integer, or "infinite"
	Needed any         `json:"needed,omitempty"`
}

type checkState struct {
	Type     string `json:"type"`
	StateKey string `json:"state_key"`
}

func (c checkCase) answer() checkAnswer {
	snapshot := NewSnapshot(c.state)
	r := Authorize(snapshot, c.action)
	e := r.Evidence
	reason := checkReason{Rule: r.Rule, Text: r.String(), User: e.User, Found: e.Found, Wanted: e.Wanted}
	if e.Key != (Key{}) {
		reason.State = &checkState{e.Key.Type, e.Key.StateKey}
	}
	if r.comparesPower() {
		reason.Had, reason.Needed = e.Had.json(), e.Needed.json()
	}
	return checkAnswer{c.id, r.Verdict.String(), r.Rule, []checkReason{reason}, otherwise(snapshot, c.action, r)}
}

// otherwise lists the client APIs that answer otherwise than r.
func otherwise(s *Snapshot, a Action, r Result) map[Homeserver]checkAPI {
	var apis map[Homeserver]checkAPI
	for _, hs := range [...]Homeserver{Synapse, Dendrite} {
		answer := ClientAPI(s, a, hs)
		if answer.Verdict == r.Verdict {
			continue
		}
		if apis == nil {
			apis = map[Homeserver]checkAPI{}
		}
		apis[hs] = checkAPI{answer.Verdict.String(), answer.Rule, answer.Errcode}
	}
	return apis
}

func (l Level) json() any {
	if l == Infinite {
		return "infinite"
	}
	return int64(l)
}

// parseCase reads a line; err is what reading it gave.
func parseCase(line []byte, err error) (checkCase, error) {
	var c checkCase
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

func (r *reader) fail(format string, args ...any) {
	if r.fault == nil {
		r.fault = fmt.Errorf(format, args...)
	}
}

// want returns a member that must be there and be of one kind.
func (r *reader) want(n exactjson.Value, key string, k exactjson.Kind) exactjson.Value {
	v := n.Get(key)
	switch {
	case !v.Exists():
		r.fail("%q is missing", key)
	case v.Kind != k:
		r.fail("%q is not %s", key, kindName(k))
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

func (r *reader) action(n exactjson.Value) Action {
	if n.Kind != exactjson.Object {
		return Action{}
	}
	a := Action{Type: ActionType(r.text(n, "type")), Sender: id.UserID(r.text(n, "sender"))}
	if a.Type.eventType() == "" {
		r.fail("%q is no action type", a.Type)
	}
	if a.Type.membership() != "" {
		a.Target = id.UserID(r.text(n, "target"))
	}
	a.Content = json.RawMessage(n.Get("content").Raw)
	switch first := n.Get("prev_is_create"); first.Kind {
	case exactjson.None, exactjson.False:
	case exactjson.True:
		a.PrevIsCreate = true
	default:
		r.fail(`"prev_is_create" is not a boolean`)
	}
	return a
}

// events collects that state which the action needs. What the case does not mention stays unknown.
func (r *reader) events(state exactjson.Value, a Action) map[Key]*Event {
	events := make(map[Key]*Event)
	for _, key := range Needs(a) {
		switch key.Type {
		case typeCreate:
			r.event(events, key, state.Get("create"), true)
		case typeJoinRules:
			r.event(events, key, state.Get("join_rules"), false)
		case typePowerLevels:
			r.event(events, key, state.Get("power_levels"), false)
		case typeMember:
			r.entry(events, key, state, "members")
		case typeThirdParty:
			r.entry(events, key, state, "third_party_invite")
		}
	}
	return events
}

// entry takes an event from a map by state key, as which null is an empty one.
func (r *reader) entry(events map[Key]*Event, key Key, state exactjson.Value, name string) {
	all := state.Get(name)
	switch all.Kind {
	case exactjson.None:
		return
	case exactjson.Null, exactjson.Object:
	default:
		r.fail("%q is not an object", name)
		return
	}
	n := all.Get(key.StateKey)
	if !n.Exists() {
		n.Kind = exactjson.Null
	}
	r.event(events, key, n, key.Type == typeThirdParty)
}

// event takes an event: its content, wrapped together with the sender or not. null is no event.
func (r *reader) event(events map[Key]*Event, key Key, n exactjson.Value, wrapped bool) {
	switch n.Kind {
	case exactjson.None:
		return
	case exactjson.Null:
		events[key] = nil
		return
	}
	e := &Event{Content: json.RawMessage(n.Raw)}
	sender, _ := n.Get("sender").Str()
	e.Sender = id.UserID(sender)
	if wrapped {
		if n.Kind != exactjson.Object {
			r.fail("%s is not an object", key.Type)
		}
		e.Content = json.RawMessage(n.Get("content").Raw)
	}
	events[key] = e
}
