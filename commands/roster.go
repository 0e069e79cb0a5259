package commands

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"strings"
	"unicode/utf16"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// roster is the people named in a list that somebody wrote, or a program.
type roster struct {
	users   []id.UserID // each once, in the order of the list
	twice   int         // further mentions of them
	lost    []lostLine  // lines that name nobody, the first ones
	lines   int         // how many lines name nobody
	missing []id.UserID // people of the bot's own server that do not exist
	seen    map[id.UserID]bool
}

// lostLine is a line that names nobody.
type lostLine struct {
	number int
	text   string
}

// Bounds of a list. It comes from a stranger, so each step over it takes time in proportion to its length.
const (
	maxLost    = 5       // lines that a preview names
	maxLostLen = 30      // characters of each
	maxLine    = 4 << 10 // bytes of a line, or of a cell, that is looked into
	maxColumns = 64      // columns among which the one with the people is looked for
	sampled    = 50      // lines by which a table is recognized
)

// errNoList says that a file is no text.
var errNoList = fault(room.Say("list.no_text"))

// readRoster reads a list of people: a table with a column of Matrix ids, whatever separates its columns, or lines of text with ids in them.
// An id may be a link. Names without a server name nobody, since a file has no server of its own.
func readRoster(data []byte) (*roster, error) {
	text, ok := decodeText(data)
	if !ok {
		return nil, errNoList
	}
	r := &roster{seen: map[id.UserID]bool{}}
	if separator := separatorOf(text); separator != 0 {
		r.readTable(text, separator)
	} else {
		r.readLines(text)
	}
	return r, nil
}

// decodeText turns a file into text: UTF-8, UTF-16 with a mark at its beginning, or any other encoding of which ASCII is a part.
func decodeText(data []byte) (string, bool) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		order = binary.BigEndian
	}
	if order != nil {
		codes := make([]uint16, 0, len(data)/2)
		for i := 2; i+1 < len(data); i += 2 {
			codes = append(codes, order.Uint16(data[i:]))
		}
		data = []byte(string(utf16.Decode(codes)))
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return "", false
	}
	text := strings.ToValidUTF8(string(bytes.TrimPrefix(data, []byte("\uFEFF"))), "\uFFFD")
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n"), true
}

// separatorOf returns the sign between the columns of a table; 0 for a text that is none. A table has the same number of cells in nearly all
// of its first lines. Where all of these are ids, the line is a list of people.
func separatorOf(text string) rune {
	best, most := rune(0), 0
	for _, separator := range []rune{';', '\t', ',', '|'} {
		widths, table := map[int]int{}, false
		n := 0
		for line := range strings.SplitSeq(text, "\n") {
			if n == sampled {
				break
			}
			if strings.TrimSpace(line) == "" || len(line) > maxLine {
				continue
			}
			n++
			cells := strings.Split(line, string(separator))
			if len(cells) < 2 {
				continue
			}
			widths[len(cells)]++
			for _, cell := range cells {
				table = table || strings.TrimSpace(cell) != "" && !strings.HasPrefix(strings.TrimLeft(cell, " '\""), "@") && personIn(cell) == ""
			}
		}
		for _, lines := range widths {
			if table && lines > most && 2*lines > n {
				best, most = separator, lines
			}
		}
	}
	return best
}

// readTable reads the column with the most people in it; of two, the first.
func (r *roster) readTable(text string, separator rune) {
	var people [maxColumns]int
	eachRecord(text, separator, func(_ int, cells []string) {
		for i, cell := range cells[:min(len(cells), maxColumns)] {
			if personIn(cell) != "" {
				people[i]++
			}
		}
	})
	column := 0
	for i, n := range people {
		if n > people[column] {
			column = i
		}
	}
	first := true
	eachRecord(text, separator, func(number int, cells []string) {
		whole := strings.TrimSpace(strings.Join(cells, " "))
		cell := ""
		if column < len(cells) {
			cell = cells[column]
		}
		user := personIn(cell)
		switch {
		case user != "":
			r.add(user)
		case whole == "" || first: // the first line without a person is the head of the table
		case strings.TrimSpace(cell) == "":
			r.lose(number, whole)
		default:
			r.lose(number, cell)
		}
		if whole != "" {
			first = false
		}
	})
}

// eachRecord hands the lines of a table to f. A quotation mark without its other half would swallow the rest, so such a table is read line by
// line.
func eachRecord(text string, separator rune, f func(number int, cells []string)) {
	if strings.Count(text, `"`)%2 != 0 {
		number := 0
		for line := range strings.SplitSeq(text, "\n") {
			number++
			f(number, strings.Split(line, string(separator)))
		}
		return
	}
	table := csv.NewReader(strings.NewReader(text))
	table.Comma, table.LazyQuotes, table.FieldsPerRecord, table.ReuseRecord = separator, true, -1, true
	for {
		cells, err := table.Read()
		if err != nil {
			return // only the end: nothing else is an error to a lazy reader of a text in memory
		}
		number, _ := table.FieldPos(0)
		f(number, cells)
	}
}

// readLines reads the people in each line of a text. A line that begins with # and has no person in it is a remark, and so is a title in the
// first line.
func (r *roster) readLines(text string) {
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		found := false
		if len(line) <= maxLine {
			for _, w := range splitWords(line) {
				if user := personIn(w.text); user != "" {
					r.add(user)
					found = true
				}
			}
		}
		title := number == 1 && !strings.ContainsAny(line, "@:")
		if !found && line[0] != '#' && !title {
			r.lose(number, line)
		}
	}
}

// personIn returns the user whom a cell or a word names by a full id or a link; empty for none. An apostrophe before it is of a program that
// keeps cells from being formulas.
func personIn(cell string) id.UserID {
	if len(cell) > maxLine {
		return ""
	}
	r := word{text: strings.TrimPrefix(strings.TrimSpace(cell), "'")}.read("")
	if r.class != classPerson || !r.wrong.Empty() {
		return ""
	}
	return r.user
}

func (r *roster) add(user id.UserID) {
	if r.seen[user] {
		r.twice++
		return
	}
	r.seen[user] = true
	r.users = append(r.users, user)
}

func (r *roster) lose(number int, text string) {
	if r.lines++; len(r.lost) == maxLost {
		return
	}
	short := []rune(strings.ToValidUTF8(text[:min(len(text), maxLine)], ""))
	if len(short) > maxLostLen {
		short = append(short[:maxLostLen], '…')
	}
	r.lost = append(r.lost, lostLine{number, strings.Join(strings.Fields(string(short)), " ")})
}
