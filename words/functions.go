package words

import (
	"strconv"
	"strings"
	"text/template"
	"time"
)

// vocabularies are the kinds of codes that an argument may be. {{verb .action}} is the entry "verb.invite" where .action is
// "invite", or the argument itself where there is no such entry.
var vocabularies = [...]string{"verb", "deed", "level", "rule", "fact", "mode", "done"}

// functions are what a template may call, besides those of text/template.
func (v *Voice) functions() template.FuncMap {
	all := template.FuncMap{
		"about":      v.about,
		"some":       func(list string) string { return v.some(strings.Fields(list)) },
		"somepeople": v.somePeople,
		"quote":      func(text string) string { return protect(strconv.Quote(restore(text))) },
		"join":       func(parts []string) string { return strings.Join(parts, "; ") },
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

// about says how long a time is (as time.Duration writes it), rounded up to what matters: "3 hours".
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
	text, _ := v.find(key, map[string]any{"n": strconv.FormatInt(int64((d+unit-1)/unit), 10)})
	return text, nil
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
