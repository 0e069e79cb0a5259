package commands

import (
	"slices"
	"strings"

	"usher/room"
)

// option makes a parameter a flag with a value, at any place: --name value, or --name=value.
func (p Param) option() Param {
	p.named = true
	return p.optional()
}

// option is a flag with its value, as typed.
type option struct{ flag, value word }

// takeOptions takes the flags with values of all forms of a command out of a list.
func (a *arguments) takeOptions(words []word) (taken []option, rest []word, err error) {
	var known []string
	for _, f := range a.form.forms() {
		for _, p := range f.params() {
			if p.named {
				known = append(known, p.Key)
			}
		}
	}
	if known == nil {
		return nil, words, nil
	}
	for i := 0; i < len(words); i++ {
		name, value, joined := strings.Cut(words[i].flag(), "=")
		name = strings.ToLower(name)
		switch {
		case !slices.Contains(known, name):
			rest = append(rest, words[i])
			continue
		case joined:
			quoted := strings.Trim(value, `"“”„`)
			taken = append(taken, option{word{text: name, raw: words[i].raw}, word{text: quoted, raw: value, quoted: quoted != value}})
		case i+1 == len(words) || words[i+1].flag() != "":
			return nil, nil, a.usage(room.Say("usage.no_value", "flag", words[i].text))
		default:
			taken = append(taken, option{word{text: name, raw: words[i].raw}, words[i+1]})
			i++
		}
	}
	return taken, rest, nil
}

// setOptions gives the values of flags to their parameters, and refuses the flags of other forms.
func (a *arguments) setOptions(options []option) error {
	values := map[string][]word{}
	for _, o := range options {
		i := slices.IndexFunc(a.form.params(), func(p Param) bool { return p.named && p.Key == o.flag.text })
		if i < 0 {
			return a.usage(room.Say("usage.flag", "flag", "--"+o.flag.text))
		}
		p := a.form.params()[i]
		if n := len(values[p.Key]); !p.fits(o.value, a.asker) || n > 0 && !p.many {
			return a.usage(room.Say("usage.value", "flag", "--"+p.Key, "value", o.value.text))
		}
		values[p.Key] = append(values[p.Key], o.value)
		a.listed = a.listed || p.list
		if err := a.set(p, values[p.Key]); err != nil {
			return err
		}
	}
	return nil
}
