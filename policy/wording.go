package policy

import (
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"
)

// either chooses between two sentences.
func either(which bool, yes, no string) string {
	if which {
		return yes
	}
	return no
}

// maxNamed is how many items of a list a sentence names.
const maxNamed = 5

// some names the first items of a list.
func some(list []string) string {
	if len(list) > maxNamed {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), len(list)-maxNamed)
	}
	return strings.Join(list, ", ")
}

func only(may string, list []string) string {
	return either(len(list) > 0, "These "+may+", and nobody else unless another field names them: "+some(list)+".", "This names nobody in particular who "+may+".")
}

func never(list []string) string {
	return either(len(list) > 0, "These may not be invited: "+some(list)+".", "Nobody is kept out by name here.")
}

func atOnce(list []string) string {
	return either(len(list) > 0, "These are let in at once when they knock: "+some(list)+".", "Nobody is let in at once by name.")
}

// people words servers as their people.
func people(servers []string) []string {
	list := make([]string, len(servers))
	for i, s := range servers {
		list[i] = "people of " + s
	}
	return list
}

func strs(rooms []id.RoomID) []string {
	list := make([]string, len(rooms))
	for i, r := range rooms {
		list[i] = string(r)
	}
	return list
}

func here(r id.RoomID) string { return either(r == "", "this room", string(r)) }

// done words what Guard does about somebody.
func done(what string) string {
	return map[string]string{Ignore: "left alone", Report: "reported", Kick: "kicked", Withdraw: "withdrawn"}[what]
}
