package words

import (
	"strconv"
	"strings"
	"text/template"
	"time"
)

// vocabularies are the kinds of codes in arguments. {{verb .action}} is the entry "verb.invite" where .action is
// "invite", or the argument itself where there is no such entry.
var vocabularies = [...]string{"verb", "did", "deed", "level", "rule", "fact", "mode", "done", "fate", "way", "outcome", "whose"}

// functions are the functions for templates, besides the ones of text/template.
func (v *Voice) functions() template.FuncMap {
	all := template.FuncMap{
		"about":      v.about,
		"some":       func(list string) string { return v.some(strings.Fields(list)) },
		"somepeople": v.somePeople,
		"quote":      func(text string) string { return protect(strconv.Quote(restore(text))) },
		"join":       func(parts []string) string { return strings.Join(parts, "; ") },
		"list":       func(parts []string) string { return strings.Join(parts, ", ") },
		"lower":      lower,
		"span":       v.span,
		"ago":        v.ago,
		"expires":    v.expires,
		"period":     v.period,
		"exact":      exact,
		"short":      v.short,
		"clock":      v.clock,
		"date":       func(moment string) (string, error) { return v.form("time.date", moment) },
		"day":        v.day,
	}
	for _, name := range vocabularies {
		all[name] = func(code string) string {
			if text, found := v.find(name+"."+code, nil); found {
				return text
			}
			return code
		}
	}
	return all
}

// about says how long a time is (as time.Duration writes it), rounded up to a coarse unit: "3 hours".
func (v *Voice) about(length string) (string, error) {
	d, err := time.ParseDuration(length)
	if err != nil {
		return "", err
	}
	unit, key := time.Minute, "time.minutes"
	switch {
	case d > 48*time.Hour:
		unit, key = 24*time.Hour, "time.days"
	case d > 2*time.Hour:
		unit, key = time.Hour, "time.hours"
	}
	return v.count(key, d+unit-1, unit), nil
}

// span says how long a time is by its largest unit, rounded down: "3 hours".
func (v *Voice) span(length string) (string, error) {
	d, err := time.ParseDuration(length)
	if err != nil {
		return "", err
	}
	unit, key := time.Second, "time.seconds"
	switch {
	case d >= 48*time.Hour:
		unit, key = 24*time.Hour, "time.days"
	case d >= 2*time.Hour:
		unit, key = time.Hour, "time.hours"
	case d >= time.Minute:
		unit, key = time.Minute, "time.minutes"
	}
	return v.count(key, d, unit), nil
}

// period says exactly how long a time is, as policies ("36h") or time.Duration write it, by the largest unit that divides it. Any other text stays.
func (v *Voice) period(length string) string {
	d, err := time.ParseDuration(length)
	if days, found := strings.CutSuffix(length, "d"); found && err != nil {
		d, err = time.ParseDuration(days + "h")
		d *= 24
	}
	if err != nil {
		return length
	}
	unit, key := time.Second, "time.seconds"
	for _, larger := range [...]struct {
		unit time.Duration
		key  string
	}{{time.Minute, "time.minutes"}, {time.Hour, "time.hours"}, {24 * time.Hour, "time.days"}} {
		if d >= larger.unit && d%larger.unit == 0 {
			unit, key = larger.unit, larger.key
		}
	}
	return v.count(key, d, unit)
}

// count says how often a unit goes into a time, rounded down.
func (v *Voice) count(key string, d, unit time.Duration) string {
	text, _ := v.find(key, map[string]any{"n": strconv.FormatInt(int64(d/unit), 10)})
	return text
}

// ago says how long ago a moment was.
func (v *Voice) ago(length string) (string, error) {
	return v.spanned(length, time.Minute, "time.ago", "time.now")
}

// expires says in how long something expires.
func (v *Voice) expires(length string) (string, error) {
	return v.spanned(length, 1, "time.expires", "time.expired")
}

// spanned renders an entry with a span of time, or another one where the time is below a limit.
func (v *Voice) spanned(length string, least time.Duration, key, below string) (string, error) {
	span, err := v.span(length)
	if err != nil {
		return "", err
	}
	if d, _ := time.ParseDuration(length); d < least {
		key = below
	}
	text, _ := v.find(key, map[string]any{"span": span})
	return text, nil
}

// short says exactly how long a short time is. One below zero is a difference between two clocks.
func (v *Voice) short(length string) (string, error) {
	d, err := time.ParseDuration(length)
	switch {
	case err != nil:
		return "", err
	case d < 0:
		text, _ := v.find("time.negative", nil)
		return text, nil
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String(), nil
	}
	return d.Round(time.Millisecond).String(), nil
}

// clock says when a moment is (RFC 3339), in the form of the language.
func (v *Voice) clock(moment string) (string, error) { return v.form("time.clock", moment) }

// form says a moment in the form of an entry, with the name of the month in the language.
func (v *Voice) form(key, moment string) (string, error) {
	at, err := time.Parse(time.RFC3339Nano, moment)
	if err != nil {
		return "", err
	}
	form, _ := v.find(key, nil)
	month := at.UTC().Month()
	return strings.Replace(at.UTC().Format(form), month.String(), v.month(month), 1), nil
}

// day says which day a moment is in, with the first letters of the month.
func (v *Voice) day(moment string) (string, error) {
	at, err := time.Parse(time.RFC3339Nano, moment)
	if err != nil {
		return "", err
	}
	const letters = 3
	form, _ := v.find("time.day", nil)
	month := at.UTC().Month()
	return strings.Replace(at.UTC().Format(form), month.String()[:letters], string([]rune(v.month(month))[:letters]), 1), nil
}

// month is the name of a month in the language.
func (v *Voice) month(m time.Month) string {
	months, _ := v.find("time.months", nil)
	if names := strings.Fields(months); len(names) == 12 {
		return names[m-1]
	}
	return m.String()
}

// lower makes a sentence the continuation of another, save where it begins with the word "I".
func lower(s string) string {
	if len(s) < 2 || s[:2] == "I " || s[0] < 'A' || s[0] > 'Z' {
		return s
	}
	return string(s[0]|0x20) + s[1:]
}

// maxNamed is how many items of a list a sentence names.
const maxNamed = 5

// some names the first items of a list.
func (v *Voice) some(list []string) string {
	if len(list) <= maxNamed {
		return strings.Join(list, ", ")
	}
	text, _ := v.find("list.more", map[string]any{"list": strings.Join(list[:maxNamed], ", "), "n": strconv.Itoa(len(list) - maxNamed)})
	return text
}

// somePeople names servers, apart by spaces, as their people.
func (v *Voice) somePeople(servers string) string {
	list := strings.Fields(servers)
	for i, server := range list {
		list[i], _ = v.find("list.people", map[string]any{"server": server})
	}
	return v.some(list)
}
