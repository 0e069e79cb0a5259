package operator

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/config"
	"usher/connect"
	"usher/invites"
	"usher/room"
	"usher/words"
)

// AuditOptions select audit rows and their format.
type AuditOptions struct {
	Room   string // empty: all
	User   string // as actor, performer or target; empty: all
	Since  string // "7d", "2026-01-31" or a time (RFC 3339); empty: all
	Format string // "jsonl" or "csv"
	Verify bool   // instead of the rows: whether their chain of hashes is whole
	Head   string // with Verify: a hash from the log, which the chain must hold; empty: none
}

var (
	// ErrAuditOptions is wrapped by errors about malformed AuditOptions.
	ErrAuditOptions = errors.New("wrong options")
	// ErrAuditBroken is wrapped by errors about an audit that was changed past Usher.
	ErrAuditBroken = errors.New("the audit is not as Usher wrote it")
)

// auditFields are the names of the fields in a row, in the order of the CSV columns.
var auditFields = []string{"at", "kind", "action", "room_id", "actor", "performer", "target", "verdict", "code", "policy", "command"}

// Audit writes the selected audit rows, the oldest first: JSON objects in one line each, or CSV with a header. It reads the
// database beside a running Usher and changes nothing. Errors wrap ErrAuditOptions, ErrAuditBroken or connect.ErrDatabase.
func Audit(ctx context.Context, cfg *config.Config, o AuditOptions, out io.Writer) (err error) {
	if o.Verify || o.Head != "" {
		return verify(ctx, cfg, o, out)
	}
	q := invites.AuditQuery{Room: id.RoomID(o.Room), User: id.UserID(o.User)}
	if o.Room != "" && (o.Room[0] != '!' || len(o.Room) < 2) {
		return fmt.Errorf("%w: --room takes the id of a room, such as !abc:example.org; clients show it among the room's advanced settings", ErrAuditOptions)
	}
	if local, server, err := q.User.Parse(); o.User != "" && (err != nil || local == "" || server == "") {
		return fmt.Errorf("%w: --user takes a whole Matrix ID, such as @alice:example.org", ErrAuditOptions)
	}
	if o.Since != "" {
		since, ok := commands.Since(o.Since, time.Now())
		if !ok {
			return fmt.Errorf("%w: --since takes 7d, 2026-01-31 or a time like 2026-01-31T12:00:00Z", ErrAuditOptions)
		}
		q.Since = since
	}
	buffered := bufio.NewWriter(out)
	write, end, err := auditWriter(o.Format, buffered)
	if err != nil {
		return err
	}
	reader, err := connect.Reader(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	err = reader.EachAudit(ctx, q, func(a invites.Audit) error {
		return write([]string{
			moment(a.At), string(a.Kind), string(a.Action), string(a.Room), string(a.Actor), string(a.Performer), string(a.Target),
			a.Verdict, a.Code, string(a.Policy), a.Request,
		})
	})
	return errors.Join(err, end(), buffered.Flush())
}

// verify writes a line about the chain of the audit.
func verify(ctx context.Context, cfg *config.Config, o AuditOptions, out io.Writer) (err error) {
	if !o.Verify || o.Room != "" || o.User != "" || o.Since != "" {
		return fmt.Errorf("%w: --verify is about all rows, and takes --head only", ErrAuditOptions)
	}
	reader, err := connect.Reader(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	found, err := reader.VerifyAudit(ctx, o.Head)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", connect.ErrDatabase, err)
	case found.Broken != 0:
		return fmt.Errorf("%w: row %d was changed, or rows before it are missing or were added", ErrAuditBroken, found.Broken)
	case found.Cut:
		return fmt.Errorf("%w: the last rows are missing or were changed", ErrAuditBroken)
	case o.Head != "" && !found.Found:
		return fmt.Errorf("%w: no row has the hash %s", ErrAuditBroken, o.Head)
	}
	line := room.Say("audit.whole", "rows", found.Rows, "from", moment(found.First), "to", moment(found.Last), "head", found.Head)
	if found.Rows == 0 {
		line = room.Say("audit.empty")
	}
	_, err = fmt.Fprintln(out, words.For("").Text(line))
	return err
}

// Quarantine writes the kept events that could not be decoded, the newest first, as JSON objects in one line each: the time
// of receipt, the transaction, the fault and the text of the event. It reads the database as Audit does.
func Quarantine(ctx context.Context, cfg *config.Config, out io.Writer) (err error) {
	reader, err := connect.Reader(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	kept, err := reader.Quarantined(ctx)
	lines := json.NewEncoder(words.Terminal(out))
	lines.SetEscapeHTML(false)
	for _, bad := range kept {
		err = errors.Join(err, lines.Encode(struct {
			At          string `json:"at"`
			Transaction string `json:"transaction_id"`
			Fault       string `json:"fault"`
			Event       string `json:"event"`
		}{moment(bad.ReceivedAt), bad.Transaction, bad.Fault, string(bad.Raw)}))
	}
	return err
}

// moment formats a time in UTC with milliseconds.
func moment(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

// auditWriter returns a function for each row, and one to call after the last row.
func auditWriter(format string, out io.Writer) (row func([]string) error, end func() error, err error) {
	switch format {
	case "csv":
		w := csv.NewWriter(out)
		visible := func(values []string) error {
			for i, value := range values {
				values[i] = cell(words.Visible(value))
			}
			return w.Write(values)
		}
		return visible, func() error { w.Flush(); return w.Error() }, w.Write(auditFields)
	case "jsonl":
		return func(values []string) error { return writeObject(out, values) }, func() error { return nil }, nil
	}
	return nil, nil, fmt.Errorf("%w: --format is jsonl or csv", ErrAuditOptions)
}

// cell returns a text as a cell which no spreadsheet takes for a formula. All ids of users begin with "@", and people choose them.
func cell(text string) string {
	if strings.IndexAny(text, "=+-@\t\r") == 0 {
		return "'" + text
	}
	return text
}

// writeObject writes a row as a JSON object in one line. The fields keep their order; empty fields are left out.
func writeObject(out io.Writer, values []string) error {
	line := []byte{'{'}
	for i, value := range values {
		if value == "" {
			continue
		}
		quoted, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if len(line) > 1 {
			line = append(line, ',')
		}
		line = append(fmt.Appendf(line, "%q:", auditFields[i]), words.Visible(string(quoted))...)
	}
	_, err := out.Write(append(line, "}\n"...))
	return err
}
