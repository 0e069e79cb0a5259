package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDoctorOfThisProgram: the version, the health check, and the doctor beside a Usher that runs. The tests of packages run it with their
// programs, too.
func TestDoctorOfThisProgram(t *testing.T) {
	s := newStage(t, true)
	for _, args := range [][]string{{"-v"}, {"live", "-c", "config.yaml"}, {"doctor", "-c", "config.yaml", "-r", "registration.yaml"}} {
		if out, code := s.Usher.Run(t.Context(), args...); code != 0 {
			t.Errorf("usher %v: exit code %d\n%s", args, code, out)
		}
	}
}

// TestOperator: the program's own command line beside a running Usher.
func TestOperator(t *testing.T) {
	s := newStage(t, true)
	run := func(wantCode int, args ...string) string {
		t.Helper()
		out, code := s.Usher.Run(t.Context(), args...)
		if code != wantCode {
			t.Errorf("usher %s: exit code %d, expected %d\n%s", strings.Join(args, " "), code, wantCode, out)
		}
		return out
	}
	run(0, "-v")
	if help := run(0, "-h"); !strings.Contains(help, "-c") || !strings.Contains(help, "doctor") {
		t.Errorf("-h: %s", help)
	}
	dir := t.TempDir()
	example := filepath.Join(dir, "example.yaml")
	run(0, "-e", "-c", example)
	if info, err := os.Stat(example); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the example holds tokens and should be for its owner alone: %v %v", info, err)
	}
	wrong := filepath.Join(dir, "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("homeserver: {adress: 5}\ndatabase: {type: oracle}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := run(11, "-c", wrong)
	for _, fault := range []string{"adress", "database.type"} {
		if !strings.Contains(out, fault) {
			t.Errorf("the faults do not name %s:\n%s", fault, out)
		}
	}
}
