package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"usher/config"
)

// settings are the values of a new config that the environment has.
func (p program) settings() config.Settings {
	return config.Settings{HomeserverAddress: p.variable("USHER_HOMESERVER__ADDRESS", ""), Domain: p.variable("USHER_HOMESERVER__DOMAIN", "")}
}

// writeExample writes the example config with fresh tokens.
func (p program) writeExample(o options) int {
	if code := p.createExample(o.config, o.settings); code != exitDone {
		return code
	}
	set := []string{"permissions"}
	if o.settings.Domain == "" {
		set = append([]string{"homeserver.domain"}, set...)
	}
	if o.settings.HomeserverAddress == "" {
		set = append([]string{"homeserver.address"}, set...)
	}
	fmt.Fprintf(p.out, "Wrote %s. ", o.config)
	if o.settings.Domain != "" {
		fmt.Fprintf(p.out, "In it, everybody of %s may use Usher, and nobody is its operator.\n", o.settings.Domain)
	}
	fmt.Fprintf(p.out, "Set %s in it as you need them; then usher -g -c %s -r %s\nwrites the registration.\n", strings.Join(set, ", "), o.config, o.registration)
	return exitDone
}

// createExample writes a config with some values of its own, unless they are faulty.
func (p program) createExample(path string, s config.Settings) int {
	text, err := config.Example(exampleConfig, rand.Reader, s)
	if err != nil {
		return p.failFile(path, err)
	}
	if _, _, err := config.Parse(path, text, nil); err != nil {
		return p.fail(err, exitConfig)
	}
	if err := config.WriteNew(path, text); err != nil {
		return p.failFile(path, err)
	}
	return exitDone
}

// writeRegistrations writes the registrations that are missing, or none if another one differs from the config.
func (p program) writeRegistrations(o options) int {
	cfg, code := p.load(o)
	if cfg == nil {
		return code
	}
	var missing []config.RegistrationPath
	for _, r := range config.Registrations(cfg, o.registration) {
		switch differences, err := r.Differences(); {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, r)
		case err != nil || len(differences) > 0:
			return p.failFile(r.Path, fs.ErrExist)
		default:
			fmt.Fprintf(p.out, "%s is there already, as %s has it.\n", r.Path, o.config)
		}
	}
	for _, r := range missing {
		if err := r.Create(); err != nil {
			return p.failFile(r.Path, err)
		}
	}
	if cfg.Antispam.Enabled {
		fmt.Fprintf(p.out, "For Synapse's homeserver.yaml, with the module of docs/native.md and the token in it:\n%s", config.AntispamModule(cfg))
	}
	if len(missing) > 0 {
		files := " -c " + o.config + " -r " + o.registration
		p.sayNext(missing, "See whether all is well: usher doctor"+files, "Start Usher: usher"+files)
	}
	return exitDone
}

// sayNext prints the next steps after registrations are written; then are further steps.
func (p program) sayNext(written []config.RegistrationPath, then ...string) {
	paths := make([]string, len(written))
	for i, r := range written {
		paths[i] = r.Path
	}
	them := "it"
	if len(written) > 1 {
		them = "them"
	}
	fmt.Fprintf(p.out, "Wrote %[1]s. Next:\n"+
		"  1. Copy %[2]s to where your homeserver can read %[2]s, and nobody else. List %[2]s\n"+
		"     in Synapse's homeserver.yaml under app_service_config_files,\n"+
		"     in Dendrite's dendrite.yaml under app_service_api.config_files.\n"+
		"  2. Restart the homeserver.\n", strings.Join(paths, " and "), them)
	for i, step := range then {
		fmt.Fprintf(p.out, "  %d. %s\n", i+3, step)
	}
}

// failFile prints the reason why a file could not be written.
func (p program) failFile(path string, err error) int {
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s exists already and is left as it is; move it away first, if you want a new one", path)
	} else {
		err = fmt.Errorf("%s can't be written: %w", path, err)
	}
	return p.fail(err, exitFile)
}

// firstRun writes a missing config and missing registrations, for a container without a shell. done is false if nothing was
// missing.
func (p program) firstRun(o options) (code int, done bool) {
	var look []string
	if _, err := os.Lstat(o.config); errors.Is(err, fs.ErrNotExist) {
		s := o.settings
		s.Address = p.variable("USHER_APPSERVICE__ADDRESS", "http://usher:29339")
		s.Listen = p.variable("USHER_APPSERVICE__LISTEN", "0.0.0.0:29339")
		if code := p.createExample(o.config, s); code != exitDone {
			return code, true
		}
		fmt.Fprintf(p.out, "Wrote %s.\n", o.config)
		if s.Domain == "" {
			p.askForDomain()
			return exitDone, true
		}
		look = append(look, fmt.Sprintf("See in %s under permissions who may use Usher: everybody of %s so far, and nobody as its operator.", o.config, s.Domain))
	}
	cfg, code := p.load(o)
	if cfg == nil {
		return code, true
	}
	unset := cfg.Homeserver.Domain == config.ExampleDomain && p.variable("USHER_HOMESERVER__DOMAIN", "") == ""
	var written []config.RegistrationPath
	for _, r := range config.Registrations(cfg, o.registration) {
		if _, err := os.Lstat(r.Path); err == nil {
			continue
		}
		if unset { // nobody has edited the config yet: a container that restarts by itself runs again at once
			fmt.Fprintf(p.out, "%s still has the domain of the example, %s.\n", o.config, config.ExampleDomain)
			p.askForDomain()
			return exitDone, true
		}
		if err := r.Create(); err != nil {
			return p.failFile(r.Path, err), true
		}
		written = append(written, r)
	}
	if len(written) == 0 {
		return exitDone, false
	}
	p.sayNext(written, append(look, "Start this container again.")...)
	return exitDone, true
}

// askForDomain prints the step between the first config and the registration.
func (p program) askForDomain() {
	fmt.Fprintf(p.out, "Set homeserver.address, homeserver.domain, appservice.address and permissions in it, and start again:\n"+
		"Usher then writes the registration for your homeserver.\n")
}

// variable returns an environment variable, or other when it is not set.
func (p program) variable(name, other string) string {
	for _, entry := range p.environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok && value != "" {
			return value
		}
	}
	return other
}

// live asks the running Usher whether it lives: a health check for containers without a shell or curl.
func (p program) live(o options) int {
	cfg, _, err := config.Load(o.config, p.environ)
	if err != nil {
		return p.fail(err, exitConfig)
	}
	network, address := config.Network(cfg.Appservice.Listen)
	client := http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			// Go dials the local machine when the host is empty or unspecified.
			return new(net.Dialer).DialContext(ctx, network, address)
		}},
	}
	resp, err := client.Get("http://usher/_matrix/mau/live")
	if err != nil {
		return p.fail(fmt.Errorf("no answer at %s (appservice.listen): %w", cfg.Appservice.Listen, errors.Unwrap(err)), exitOther)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return p.fail(fmt.Errorf("the answer at %s (appservice.listen) is %s", cfg.Appservice.Listen, resp.Status), exitOther)
	}
	return exitDone
}
