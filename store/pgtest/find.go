package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// find returns the folder of PostgreSQL's programs, and installs them if it can.
func find() (string, error) {
	if bin := installed(); bin != "" {
		return bin, nil
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Getuid() != 0 {
		return "", fmt.Errorf("%w: no initdb in /usr/lib/postgresql or PATH, and installing it takes root and apt-get", ErrMissing)
	}
	fmt.Fprintln(os.Stderr, "pgtest: installing postgresql with apt-get")
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", "postgresql"}} {
		cmd := exec.Command(apt, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if output, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: apt-get %s: %w\n%s", ErrMissing, args[0], err, output)
		}
	}
	if bin := installed(); bin != "" {
		return bin, nil
	}
	return "", fmt.Errorf("%w, not even after installing it", ErrMissing)
}

// installed looks where Debian puts the programs, then in PATH.
func installed() string {
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well-formed
	if len(versions) > 0 {
		return filepath.Dir(versions[len(versions)-1])
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(initdb); err == nil {
		initdb = real // the other programs are beside it
	}
	return filepath.Dir(initdb)
}
