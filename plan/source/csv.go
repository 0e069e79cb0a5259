package source

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/plan"
	"usher/room"
)

// readCSV reads a file whose first row names the columns: "user" with Matrix IDs, and "power" where it is there. Other columns do not matter,
// and a cell of power may be empty.
func readCSV(file string) ([]plan.Person, error) {
	raw, err := load(file)
	if err != nil {
		return nil, err
	}
	rows := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\uFEFF"))))
	rows.TrimLeadingSpace = true
	rows.ReuseRecord = true
	head, err := rows.Read()
	head = slices.Clone(head)
	for i := range head {
		head[i] = strings.TrimSpace(head[i])
	}
	user, power := slices.Index(head, "user"), slices.Index(head, "power")
	if err != nil || user < 0 {
		return nil, plan.NewFault(room.Say("plan.fault.csv_head", "file", file))
	}
	var people []plan.Person
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return people, nil
		}
		if err != nil {
			return nil, plan.NewFault(room.Say("plan.fault.file", "file", file, "error", err))
		}
		p := plan.Person{User: id.UserID(strings.TrimSpace(row[user]))}
		if !room.ValidUserID(string(p.User)) {
			return nil, plan.NewFault(room.Say("plan.fault.user", "user", p.User, "source", file))
		}
		if power >= 0 && strings.TrimSpace(row[power]) != "" {
			level, err := strconv.ParseInt(strings.TrimSpace(row[power]), 10, 64)
			if err != nil {
				return nil, plan.NewFault(room.Say("plan.fault.power", "power", row[power], "user", p.User))
			}
			p.Power = &level
		}
		people = append(people, p)
	}
}
