// Command with runs a command beside a PostgreSQL server of its own, whose URI the command finds in USHER_E2E_POSTGRES.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"usher/store/pgtest"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "with:", err)
		os.Exit(1)
	}
}

func run(command []string) (err error) {
	if len(command) == 0 {
		return errors.New("which command?")
	}
	server, err := pgtest.Start()
	if errors.Is(err, pgtest.ErrMissing) && os.Getenv("CI") == "" {
		fmt.Fprintf(os.Stderr, "*** NOT tested on PostgreSQL: %v ***\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	uri, err := server.Create()
	if err != nil {
		return err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "USHER_E2E_POSTGRES="+uri)
	return cmd.Run()
}
