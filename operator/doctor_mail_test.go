package operator

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"usher/config"
)

// TestDoctorAsksTheMailServer: a server that greets and takes commands, one that refuses, none.
func TestDoctorAsksTheMailServer(t *testing.T) {
	serve := func(greeting string) int {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				line, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(line, greeting+"\r\n")
				for in := bufio.NewScanner(line); in.Scan(); {
					if strings.HasPrefix(in.Text(), "MAIL") {
						t.Errorf("the doctor sends a letter: %s", in.Text())
					}
					_, _ = io.WriteString(line, "250 fine\r\n")
				}
				_ = line.Close()
			}
		}()
		return listener.Addr().(*net.TCPAddr).Port
	}
	for _, tt := range []struct {
		name, server string
		port         int
		mark         mark
		key          string
	}{
		{"off", "", 0, unchecked, "doctor.mail.off"}, {"well", "127.0.0.1", serve("220 mail.test"), well, "doctor.mail"},
		{"refusing", "127.0.0.1", serve("554 go away"), ill, "doctor.mail.failed"}, {"nobody", "127.0.0.1", 1, ill, "doctor.mail.failed"},
	} {
		cfg := config.Default()
		cfg.Mail.Server, cfg.Mail.Port, cfg.Mail.TLS, cfg.Mail.Timeout = tt.server, tt.port, "none", 2*time.Second
		d := doctor{setup: setup{cfg: cfg}}
		if got := d.mail(t.Context()); got.mark != tt.mark || got.found.Key != tt.key {
			t.Errorf("%s: %s %v", tt.name, got.mark, got.found)
		}
	}
}
