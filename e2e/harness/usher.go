package harness

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "github.com/lib/pq"
	"gopkg.in/yaml.v3"
	"maunium.net/go/mautrix/id"

	"usher/e2e/child"
)

// Usher is the program under test, with a configuration and a database of its own. Its process can be stopped, killed and
// started again; the Door holds what the homeserver pushes meanwhile.
type Usher struct {
	Bot  id.UserID
	Door *Door // from the homeserver to Usher; nil: it reaches Usher directly
	Tap  *Tap  // from Usher to the homeserver; nil: Usher reaches it directly

	binary, dir, listen string
	process             *child.Process
}

// Setup is what a Usher is configured with.
type Setup struct {
	Binary     string // default $USHER_E2E_USHER
	Dir        string // folder of its own, there already
	Domain     string
	Homeserver string         // address that Usher is to use
	Address    string         // where the homeserver reaches Usher; default where it listens
	Port       int            // where it listens on 127.0.0.1; default a free one
	Puppet     bool           // may act for local users
	Set        map[string]any // further settings, by their dotted path
}

// NewUsher writes a configuration with fresh tokens and has Usher write its registrations from it, which it returns. Nothing runs yet.
func NewUsher(ctx context.Context, s Setup) (*Usher, [][]byte, error) {
	binary := cmp.Or(s.Binary, os.Getenv("USHER_E2E_USHER"))
	if binary == "" {
		return nil, nil, errors.New("no program: set USHER_E2E_USHER, or run the tests by make")
	}
	var err error
	if s.Port == 0 {
		if s.Port, err = child.FreePort(); err != nil {
			return nil, nil, err
		}
	}
	u := &Usher{Bot: id.NewUserID("usher", s.Domain), dir: s.Dir, listen: fmt.Sprintf("127.0.0.1:%d", s.Port)}
	if s.Address == "" {
		s.Address = "http://" + u.listen
	}
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
	files, err := filepath.Glob(filepath.Join(u.dir, "registration*.yaml"))
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
func (u *Usher) configure(s Setup) error {
	settings := map[string]any{
		"encryption.pickle_key": rand.Text(),

		"homeserver.address":  s.Homeserver,
		"homeserver.domain":   s.Domain,
		"appservice.address":  s.Address,
		"appservice.listen":   u.listen,
		"appservice.as_token": rand.Text(),
		"appservice.hs_token": rand.Text(),
		"puppet.enabled":      s.Puppet,
		"puppet.as_token":     rand.Text(),
		"puppet.hs_token":     rand.Text(),
		"permissions":         map[string]any{"*": "user", "@admin:" + s.Domain: "operator"},
		"logging.min_level":   "debug",
		"logging.writers":     []any{map[string]any{"type": "stderr", "format": "json"}},
	}
	if uri := os.Getenv("USHER_E2E_POSTGRES"); uri != "" {
		settings["database.type"], settings["database.uri"] = "postgres", uri
		keys, err := NewDatabase(uri) // those of other bots, of other homeservers with the same names, are none of its own
		if err != nil {
			return err
		}
		settings["encryption.database_uri"] = keys
	}
	maps.Copy(settings, s.Set)
	text, err := yaml.Marshal(nest(settings))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(u.dir, "config.yaml"), text, 0o600)
}

// Set changes a setting of one section, such as "commands.advertise", for the next start.
func (u *Usher) Set(path string, value any) error {
	file := filepath.Join(u.dir, "config.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var settings map[string]map[string]any
	if err := yaml.Unmarshal(text, &settings); err != nil {
		return err
	}
	section, name, _ := strings.Cut(path, ".")
	if settings[section] == nil {
		settings[section] = map[string]any{}
	}
	settings[section][name] = value
	if text, err = yaml.Marshal(settings); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
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

// environment is this process's, without what Usher would take for settings.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "USHER_") || strings.HasPrefix(v, "CI=") })
}

// Run runs the program once with arguments, in the folder with its files, and returns its output and exit code.
func (u *Usher) Run(ctx context.Context, args ...string) (output string, exitCode int) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, u.binary, args...)
	cmd.Dir, cmd.Env = u.dir, environment()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return err.Error(), -1
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Replace has the next start run another program, as an upgrade does.
func (u *Usher) Replace(binary string) { u.binary = binary }

// Launch starts the process and does not wait for it.
func (u *Usher) Launch() (err error) {
	cmd := exec.Command(u.binary, "-c", "config.yaml", "-r", "registration.yaml")
	cmd.Dir, cmd.Env = u.dir, environment()
	u.process, err = child.Start(cmd, filepath.Join(u.dir, "usher.log"))
	return err
}

// Start starts the process, waits until it is ready and opens the door.
func (u *Usher) Start(ctx context.Context) error {
	if err := u.Launch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if err := u.process.Answers(ctx, "http://"+u.listen+"/_matrix/mau/ready"); err != nil {
		return fmt.Errorf("usher: %w\n%s", err, u.Tail(30))
	}
	if u.Door == nil {
		return nil
	}
	return u.Door.To("http://" + u.listen)
}

// Kill ends the process as a power cut would (kill -9). What the homeserver pushes from now on waits for the next Start.
func (u *Usher) Kill() {
	u.hold()
	u.process.Kill()
}

// Stop ends the process by SIGTERM.
func (u *Usher) Stop() error {
	u.hold()
	return u.process.Stop(15 * time.Second)
}

// StopWithin ends the process by SIGTERM, and kills it when it has not ended within grace.
func (u *Usher) StopWithin(grace time.Duration) error {
	u.hold()
	return u.process.Stop(grace)
}

// PID is the id of the process that was started.
func (u *Usher) PID() int { return u.process.PID() }

// URL is where the process listens.
func (u *Usher) URL() string { return "http://" + u.listen }

// Running reports whether the process was started.
func (u *Usher) Running() bool { return u.process != nil }

// Done is closed when the process has ended.
func (u *Usher) Done() <-chan struct{} { return u.process.Done() }

// hold has the door keep what comes.
func (u *Usher) hold() {
	if u.Door != nil {
		_ = u.Door.To("")
	}
}

// Tail returns the last lines of Usher's log.
func (u *Usher) Tail(lines int) string {
	if u.process == nil {
		return ""
	}
	return u.process.Tail(lines)
}

// Dir is the folder with Usher's files.
func (u *Usher) Dir() string { return u.dir }

// NewDatabase makes a database on the PostgreSQL server of another.
func NewDatabase(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", err
	}
	db, err := sql.Open("postgres", uri)
	if err != nil {
		return "", err
	}
	name := "keys_" + strings.ToLower(rand.Text())
	_, err = db.Exec("CREATE DATABASE " + name)
	u.Path = "/" + name
	return u.String(), errors.Join(err, db.Close())
}
