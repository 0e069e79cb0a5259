package homeserver

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
)

//go:embed dendrite.yaml.tmpl
var dendriteConfig string

// dendritePragmas follow a database's path. Without a write-ahead log, readers lock writers out, which Dendrite's sync does not
// survive. Dendrite drops a URI's query but decodes its path, hence the escaped question mark.
const dendritePragmas = "%3F_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"

// startDendrite writes Dendrite's files and starts it.
func (s *Server) startDendrite(o Options) error {
	if o.Binary == "" {
		o.Binary = os.Getenv("USHER_E2E_DENDRITE")
	}
	if o.Binary == "" {
		return errors.New("no program: set USHER_E2E_DENDRITE (make build-dendrite builds bin/dendrite)")
	}
	binary, err := filepath.Abs(o.Binary)
	if err != nil {
		return err
	}
	if err := s.folder(o, ""); err != nil {
		return err
	}
	seed := make([]byte, 32)
	_, _ = rand.Read(seed)
	key := pem.EncodeToMemory(&pem.Block{Type: "MATRIX PRIVATE KEY",
		Headers: map[string]string{"Key-ID": "ed25519:e2e"}, Bytes: seed})
	if err := s.write("signing.pem", key); err != nil {
		return err
	}
	registrations, err := s.writeRegistrations(o.Registrations)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return err
	}
	config, err := render(dendriteConfig, map[string]any{
		"Options": o, "Secret": s.secret, "Registrations": registrations, "Dir": dir, "Pragmas": dendritePragmas,
	})
	if err != nil {
		return err
	}
	if err := s.write("dendrite.yaml", config); err != nil {
		return err
	}
	args := []string{"-config", "dendrite.yaml", "-http-bind-address", fmt.Sprintf("127.0.0.1:%d", o.Port)}
	if o.TLSPort != 0 {
		if err := s.writeCertificate(); err != nil {
			return err
		}
		args = append(args, "-https-bind-address", fmt.Sprintf("127.0.0.1:%d", o.TLSPort),
			"-tls-cert", "tls.crt", "-tls-key", "tls.key")
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir = s.dir
	return s.run(cmd)
}

// render fills a configuration template.
func render(text string, values any) ([]byte, error) {
	t, err := template.New("config").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, values)
	return out.Bytes(), err
}
