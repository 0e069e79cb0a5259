// Package homeserver runs real Matrix homeservers, Dendrite and Synapse, as child processes for tests and the demo: on
// loopback, on SQLite, in a folder of their own, with test accounts made by a shared secret.
package homeserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/synapseadmin"

	"usher/e2e/child"
)

// Kind is a make of homeserver.
type Kind string

// The homeservers known.
const (
	Dendrite Kind = "dendrite"
	Synapse  Kind = "synapse"
)

// Options say how a homeserver is set up. The zero value of each field has a default.
type Options struct {
	Kind   Kind   // default Dendrite
	Dir    string // where its files go; default a temporary folder, removed by Stop. Ignored by a Synapse in a root folder of its own
	Domain string // server name; default "usher.test", or "localhost:<TLSPort>" when federated
	Port   int    // of the client API on 127.0.0.1; default a free one

	Registrations [][]byte // appservice registration files, as YAML
	RateLimits    bool     // the homeserver's own default limits; default none
	TLSPort       int      // federates on 127.0.0.1 at this port with a certificate of its own; default no federation

	Antispam *Antispam // Synapse only; default none

	Binary string // the program: Dendrite's; default $USHER_E2E_DENDRITE
	Root   string // folder with a Debian that has Synapse; default $USHER_E2E_SYNAPSE_ROOT; if empty, synapse_homeserver from PATH
}

// Server is a running homeserver.
type Server struct {
	Kind   Kind
	Domain string
	URL    string // of the client API

	dir     string
	ownDir  bool
	secret  string
	process *child.Process
}

// startTimeout bounds how long a homeserver may take to answer for the first time; loaded CI machines are slow.
const startTimeout = 2 * time.Minute

// Start starts a homeserver and returns when it answers.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Kind == "" {
		o.Kind = Dendrite
	}
	if o.Domain == "" {
		o.Domain = "usher.test"
		if o.TLSPort != 0 {
			o.Domain = fmt.Sprintf("localhost:%d", o.TLSPort)
		}
	}
	if o.Port == 0 {
		var err error
		if o.Port, err = child.FreePort(); err != nil {
			return nil, err
		}
	}
	s := &Server{Kind: o.Kind, Domain: o.Domain, URL: fmt.Sprintf("http://127.0.0.1:%d", o.Port), secret: rand.Text()}
	var err error
	switch o.Kind {
	case Dendrite:
		err = s.startDendrite(o)
	case Synapse:
		err = s.startSynapse(o)
	default:
		err = fmt.Errorf("unknown homeserver %q", o.Kind)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		err = s.process.Answers(ctx, s.URL+"/_matrix/client/versions")
	}
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", o.Kind, err, s.Tail(30))
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Stop ends the homeserver and removes the folder that Start made for it.
func (s *Server) Stop() error {
	var err error
	if s.process != nil {
		err = s.process.Stop(15 * time.Second)
	}
	if s.ownDir && s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// Done is closed when the homeserver has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Tail returns the last lines of the log.
func (s *Server) Tail(lines int) string {
	if s.process == nil {
		return ""
	}
	return s.process.Tail(lines)
}

// Register makes an account and returns a client logged in as it.
func (s *Server) Register(ctx context.Context, localpart, password string, admin bool) (*mautrix.Client, error) {
	client, err := mautrix.NewClient(s.URL, "", "")
	if err != nil {
		return nil, err
	}
	client.Client = &http.Client{Timeout: time.Minute}
	made, err := (&synapseadmin.Client{Client: client}).SharedSecretRegister(ctx, s.secret,
		synapseadmin.ReqSharedSecretRegister{Username: localpart, Password: password, Admin: admin})
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", localpart, err)
	}
	client.UserID, client.DeviceID, client.AccessToken = made.UserID, made.DeviceID, made.AccessToken
	return client, nil
}

// folder makes the folder for the homeserver's files below parent, or takes o.Dir.
func (s *Server) folder(o Options, parent string) error {
	s.dir = o.Dir
	if s.dir == "" || parent != "" {
		dir, err := os.MkdirTemp(parent, "usher-e2e-")
		if err != nil {
			return err
		}
		s.dir, s.ownDir = dir, true
	}
	return os.MkdirAll(s.dir, 0o700)
}

// run starts the homeserver's program.
func (s *Server) run(cmd *exec.Cmd) (err error) {
	s.process, err = child.Start(cmd, filepath.Join(s.dir, string(s.Kind)+".log"))
	return err
}

// write puts a file into the homeserver's folder.
func (s *Server) write(name string, content []byte) error {
	return os.WriteFile(filepath.Join(s.dir, name), content, 0o600)
}

// writeRegistrations puts the registrations into the folder and returns their names.
func (s *Server) writeRegistrations(all [][]byte) ([]string, error) {
	names := make([]string, len(all))
	for i, r := range all {
		names[i] = fmt.Sprintf("registration-%d.yaml", i)
		if err := s.write(names[i], r); err != nil {
			return nil, err
		}
	}
	return names, nil
}
