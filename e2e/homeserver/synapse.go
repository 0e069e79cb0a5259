package homeserver

import (
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

//go:embed synapse.yaml.tmpl
var synapseConfig string

// antispamModule asks a service before an invitation or a join.
//
//go:embed usher_antispam.py
var antispamModule []byte

// Antispam has Synapse ask a service before an invitation or a join, by a module with the protocol of synapse-http-antispam.
type Antispam struct {
	URL, Token string
	Callbacks  []string
	FailOpen   []string // callbacks that are let through when the service does not answer
}

// startSynapse writes Synapse's files and starts it: inside the root folder, where it sees its files below /tmp, or
// from PATH.
func (s *Server) startSynapse(o Options) error {
	if o.Root == "" {
		o.Root = os.Getenv("USHER_E2E_SYNAPSE_ROOT")
	}
	var parent string
	if o.Root != "" {
		parent = filepath.Join(o.Root, "tmp")
	}
	if err := s.folder(o, parent); err != nil {
		return err
	}
	dir, err := filepath.Abs(s.dir) // as Synapse sees it
	if err != nil {
		return err
	}
	if o.Root != "" {
		dir = filepath.Join("/tmp", filepath.Base(s.dir))
	}
	if err := s.writeSynapse(o, dir); err != nil {
		return err
	}
	config := filepath.Join(dir, "homeserver.yaml")
	cmd := exec.Command("synapse_homeserver", "-c", config)
	if o.Root != "" {
		// Path is looked up inside the root, hence without exec.LookPath.
		cmd = &exec.Cmd{Path: "/usr/bin/python3", Args: []string{"python3", "-m", "synapse.app.homeserver", "-c", config}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: o.Root}
		cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "LANG=C.UTF-8"}
	} else {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "PYTHONPATH="+dir)
	cmd.Dir = dir
	return s.run(cmd)
}

// writeSynapse writes Synapse's files for a Synapse that sees its folder as dir.
func (s *Server) writeSynapse(o Options, dir string) error {
	seed := make([]byte, 32)
	_, _ = rand.Read(seed)
	key := "ed25519 a_e2e " + base64.RawStdEncoding.EncodeToString(seed) + "\n"
	if err := s.write("signing.key", []byte(key)); err != nil {
		return err
	}
	registrations, err := s.writeRegistrations(o.Registrations)
	if err != nil {
		return err
	}
	if o.TLSPort != 0 {
		if err := s.writeCertificate(); err != nil {
			return err
		}
	}
	config, err := render(synapseConfig, map[string]any{"Options": o, "Dir": dir, "Secret": s.secret,
		"Registrations": registrations})
	if err != nil {
		return err
	}
	if o.Antispam != nil {
		if err := s.write("usher_antispam.py", antispamModule); err != nil {
			return err
		}
	}
	if err := s.write("log.yaml", []byte(synapseLogging)); err != nil {
		return err
	}
	return s.write("homeserver.yaml", config)
}

// synapseLogging sends the log to the standard error.
const synapseLogging = `version: 1
formatters:
  plain: {format: "%(asctime)s %(levelname)s %(name)s %(request)s %(message)s"}
handlers:
  console: {class: logging.StreamHandler, formatter: plain}
loggers:
  synapse.storage.SQL: {level: WARNING}
root: {level: INFO, handlers: [console]}
disable_existing_loggers: false
`
