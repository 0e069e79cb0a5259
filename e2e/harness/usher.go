package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
	"maunium.net/go/mautrix/id"

	"usher/e2e/child"
)

// Usher is the program under test, with a configuration and a database of its own. Its process can be stopped, killed and
// started again; the Door holds what the homeserver pushes meanwhile.
type Usher struct {
	Bot  id.UserID
	Door *Door // from the homeserver to Usher
	Tap  *Tap  // from Usher to the homeserver

	binary, dir, listen string
	process             *child.Process
}

// usherSetup is what an Usher is configured with.
type usherSetup struct {
	Domain     string
	Homeserver string         // address that Usher is to use
	Address    string         // where the homeserver reaches Usher
	Puppet     bool           // may act for local users
	Set        map[string]any // further settings, by their dotted path
}

// newUsher writes the configuration and has Usher write its registrations from it.
func newUsher(ctx context.Context, dir string, s usherSetup) (*Usher, [][]byte, error) {
	binary := os.Getenv("USHER_E2E_USHER")
	if binary == "" {
		return nil, nil, errors.New("no program: set USHER_E2E_USHER, or run the tests by make")
	}
	port, err := child.FreePort()
	if err != nil {
		return nil, nil, err
	}
	u := &Usher{Bot: id.NewUserID("usher", s.Domain), dir: dir, listen: fmt.Sprintf("127.0.0.1:%d", port)}
	if u.binary, err = filepath.Abs(binary); err != nil {
		return nil, nil, err
	}
	if err := u.configure(s); err != nil {
		return nil, nil, err
	}
	if out, code := u.Run(ctx, "-g", "-c", "config.yaml", "-r", "registration.yaml"); code != 0 {
		return nil, nil, fmt.Errorf("usher -g: exit code %d\n%s", code, out)
	}
	var registrations [][]byte
	files, err := filepath.Glob(filepath.Join(dir, "registration*.yaml"))
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, err
		}
		registrations = append(registrations, text)
	}
	return u, registrations, nil
}

// configure writes config.yaml.
func (u *Usher) configure(s usherSetup) error {
	settings := map[string]any{
		"homeserver.address":       s.Homeserver,
		"homeserver.domain":        s.Domain,
		"appservice.id":            "usher",
		"appservice.address":       s.Address,
		"appservice.listen":        u.listen,
		"appservice.as_token":      "e2e-as-token-of-the-bot-itself-0123456789",
		"appservice.hs_token":      "e2e-hs-token-of-the-bot-itself-0123456789",
		"appservice.bot.username":  "usher",
		"puppet.enabled":           s.Puppet,
		"puppet.id":                "usher-puppet",
		"puppet.as_token":          "e2e-as-token-for-assertion-0123456789",
		"puppet.hs_token":          "e2e-hs-token-for-assertion-0123456789",
		"permissions":              map[string]any{"*": "user", "@admin:" + s.Domain: "operator"},
		"database.type":            "sqlite",
		"database.uri":             "file:usher.db",
		"logging.min_level":        "debug",
		"logging.writers":          []any{map[string]any{"type": "stderr", "format": "json"}},
		"appservice.bot.avatar":    "",
		"appservice.max_body_size": "50MiB",
	}
	maps.Copy(settings, s.Set)
	text, err := yaml.Marshal(nest(settings))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(u.dir, "config.yaml"), text, 0o600)
}

// nest turns dotted paths into nested maps.
func nest(flat map[string]any) map[string]any {
	tree := map[string]any{}
	for path, value := range flat {
		at, parts := tree, strings.Split(path, ".")
		for _, part := range parts[:len(parts)-1] {
			next, ok := at[part].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[part] = next
			}
			at = next
		}
		at[parts[len(parts)-1]] = value
	}
	return tree
}

// Run runs the program once with arguments, in the folder with its files, and returns its output and exit code.
func (u *Usher) Run(ctx context.Context, args ...string) (output string, exitCode int) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, u.binary, args...)
	cmd.Dir = u.dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return err.Error(), -1
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Start starts the process, waits until it is ready and opens the door.
func (u *Usher) Start(ctx context.Context) error {
	cmd := exec.Command(u.binary, "-c", "config.yaml", "-r", "registration.yaml")
	cmd.Dir = u.dir
	var err error
	if u.process, err = child.Start(cmd, filepath.Join(u.dir, "usher.log")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if err := u.process.Answers(ctx, "http://"+u.listen+"/_matrix/mau/ready"); err != nil {
		return fmt.Errorf("usher: %w\n%s", err, u.Tail(30))
	}
	return u.Door.To("http://" + u.listen)
}

// Kill ends the process as a power cut would (kill -9). What the homeserver pushes from now on waits for the next Start.
func (u *Usher) Kill() {
	_ = u.Door.To("")
	u.process.Kill()
}

// Stop ends the process by SIGTERM.
func (u *Usher) Stop() error {
	_ = u.Door.To("")
	return u.process.Stop(15 * time.Second)
}

// Tail returns the last lines of Usher's log.
func (u *Usher) Tail(lines int) string {
	if u.process == nil {
		return ""
	}
	return u.process.Tail(lines)
}
