package harness

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
)

// Oracle is a running `usher check`: it predicts what a room allows.
type Oracle struct {
	t   T
	in  io.WriteCloser
	out *bufio.Reader
}

// Prediction is its answer to a case.
type Prediction struct {
	Verdict string `json:"verdict"`
	Rule    string `json:"rule"`
	Error   string `json:"error"`
	API     map[string]struct {
		Verdict string `json:"verdict"`
		Rule    string `json:"rule"`
	} `json:"client_api"`
}

// For returns verdict and rule at a homeserver's client API.
func (p Prediction) For(kind string) (verdict, rule string) {
	if api, differs := p.API[kind]; differs {
		return api.Verdict, api.Rule
	}
	return p.Verdict, p.Rule
}

// NewOracle starts the program's check and ends it with the test.
func NewOracle(t T) *Oracle {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Getenv("USHER_E2E_USHER"), "check")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("usher check: %v", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("usher check: %v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("usher check: %v", err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // it ends with its input; how does not matter any more
	})
	return &Oracle{t, in, bufio.NewReader(out)}
}

// Ask predicts one case, in the format of docs/check.md.
func (o *Oracle) Ask(c any) (p Prediction) {
	o.t.Helper()
	if err := json.NewEncoder(o.in).Encode(c); err != nil {
		o.t.Fatalf("asking usher check: %v", err)
	}
	line, err := o.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p)
	}
	if err != nil || p.Error != "" {
		o.t.Fatalf("usher check: %v %s", err, p.Error)
	}
	return p
}
