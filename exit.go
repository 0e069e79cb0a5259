package main

import (
	"errors"
	"fmt"

	"usher/connect"
	"usher/operator"
	"usher/words"
)

// Exit codes. docs/operations.md lists them for operators; a second signal gives 128 and its number.
const (
	exitDone       = 0
	exitOther      = 1  // any other error; usher check: a malformed line; usher live: no answer
	exitUsage      = 2  // the command line
	exitChanges    = 2  // usher plan --detailed-exitcode: there are changes
	exitConfig     = 11 // the config
	exitToken      = 12 // the homeserver refuses the as_token
	exitHomeserver = 13 // the homeserver can't be reached
	exitDatabase   = 14 // the database can't be opened
	exitListen     = 15 // the port is taken, or the socket can't be made
	exitFile       = 16 // a file exists already, or can't be written
	exitDoctor     = 17 // usher doctor found something
	exitAudit      = 18 // usher audit --verify found something
)

// fail prints the error and its remedy, and returns the exit code of the error, or code if it has none.
func (p program) fail(err error, code int) int {
	fmt.Fprintf(p.err, "usher: %s\n", words.Visible(err.Error())) // which may quote a homeserver
	for _, known := range []struct {
		err    error
		code   int
		remedy string
	}{
		{operator.ErrTokenRefused, exitToken, "Give the homeserver the registration that usher -g writes from this config, and restart the homeserver."},
		{operator.ErrHomeserverUnreachable, exitHomeserver, "See that the homeserver runs and that homeserver.address is right as seen from here."},
		{connect.ErrDatabase, exitDatabase, "See that database.type and database.uri are right (a path counts from the current folder), and that no other Usher uses the same file."},
		{connect.ErrListen, exitListen, "See which program has appservice.listen, or choose another there and write the registration anew."},
	} {
		if !errors.Is(err, known.err) {
			continue
		}
		var unwell *operator.Unwell
		if errors.As(err, &unwell) {
			known.remedy = words.Visible(unwell.Remedy())
		}
		fmt.Fprintln(p.err, known.remedy, "usher doctor finds out more.")
		return known.code
	}
	return code
}
