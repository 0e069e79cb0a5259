package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// printer prints the transcript: a column of times, a column of names, what was said or done. Colour is for terminals only.
type printer struct {
	out    io.Writer
	colour bool
	last   time.Time // when the last step ended
}

func newPrinter(out *os.File) *printer {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &printer{out: out, colour: terminal && os.Getenv("NO_COLOR") == "", last: time.Now()}
}

// The colours used, as SGR parameters.
const (
	bold = "1"
	dim  = "2"
	red  = "31"
)

// paint gives a text a colour.
func (p *printer) paint(colour, text string) string {
	if !p.colour || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// hue is a name's colour.
func hue(name string) string {
	switch name {
	case "usher":
		return "35"
	case "alice":
		return "36"
	case "bob":
		return "32"
	case "carol":
		return "33"
	}
	return ""
}

// width is where lines are broken.
const width = 100

// step prints one step with the time it took: who did it, and what.
func (p *printer) step(who, what string) {
	took := time.Since(p.last)
	p.last = time.Now()
	stamp := fmt.Sprintf("%7.1f ms  ", float64(took.Microseconds())/1000)
	name, indent := "", len(stamp)
	if who != "" {
		name = fmt.Sprintf("%-6s  ", who)
		indent += len(name)
	}
	for i, line := range wrap(what, width-indent) {
		if i == 0 {
			fmt.Fprintln(p.out, p.paint(dim, stamp)+p.paint(hue(who), name)+line)
			continue
		}
		fmt.Fprintln(p.out, strings.Repeat(" ", indent)+line)
	}
}

// act marks what is done rather than said.
func (p *printer) act(what string) string { return "(" + what + ")" }

// title prints a heading.
func (p *printer) title(text string) { fmt.Fprintf(p.out, "\n%s\n\n", p.paint(bold, text)) }

// fact prints a name and a value.
func (p *printer) fact(name, value string) { fmt.Fprintf(p.out, "  %-12s%s\n", name, value) }

// line prints a line as it is.
func (p *printer) line(text string) { fmt.Fprintln(p.out, text) }

// fail prints what went wrong.
func (p *printer) fail(err error) { fmt.Fprintf(p.out, "\n%s %s\n", p.paint(red, "Failed:"), err) }

// wrap breaks a text into lines of at most limit characters, between words where it can.
func wrap(text string, limit int) []string {
	var lines []string
	for _, paragraph := range strings.Split(text, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			switch {
			case line == "":
				line = word
			case len([]rune(line))+1+len([]rune(word)) <= limit:
				line += " " + word
			default:
				lines = append(lines, line)
				line = word
			}
		}
		lines = append(lines, line)
	}
	return lines
}
