package appservice

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// TestRefusedTransactionIsLogged: once an hour, with the reason, and never with a token.
func TestRefusedTransactionIsLogged(t *testing.T) {
	for _, c := range []struct{ path, token, reason string }{
		{"/_matrix/app/v1/transactions/1", "", "no_token"},
		{"/_matrix/app/v1/transactions/1", "hash", "wrong_token"},
		{"/_matrix/app/v1/transactions/1", "pup", "token_of_second_registration"},
		{"/_matrix/app/v1/transactions/1?access_token=hush", "", "token_in_query"},
		{"/transactions/1?access_token=pup", "", "token_of_second_registration"},
		{"/_matrix/app/v1/users/@a:b", "hash", ""},
	} {
		var log bytes.Buffer
		n := NewIntake(IntakeOptions{Tokens: Tokens{HS: "hush", Other: "pup"}, Bot: "@usher:x", Log: zerolog.New(&log)})
		header := ""
		if c.token != "" {
			header = "Bearer " + c.token
		}
		for range 3 {
			if status, _ := ask(n, http.MethodPut, c.path, "{}", header); status != 401 && status != 403 {
				t.Errorf("%+v: answered %d", c, status)
			}
		}
		said := log.String()
		if lines := strings.Count(said, "\n"); lines > 1 || (lines == 1) != (c.reason != "") || !strings.Contains(said, c.reason) || strings.Contains(said, "hush") {
			t.Errorf("%+v: logged %s", c, said)
		}
	}
}

// TestConnectionWithoutToken: a request without the homeserver's token does not hold its connection, whether it sends its body or not.
func TestConnectionWithoutToken(t *testing.T) {
	intake := NewIntake(IntakeOptions{Tokens: Tokens{HS: "hush"}, Bot: "@usher:x", Log: zerolog.Nop()})
	standby := NewStandby(StandbyOptions{Tokens: Tokens{HS: "hush"}, Active: func(context.Context) (string, error) { return "", nil }, Log: zerolog.Nop()})
	for name, handler := range map[string]http.Handler{"active": intake, "standby": standby} {
		server := httptest.NewServer(handler)
		defer server.Close()
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.WriteString(conn, "PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn) // until the server closes it
		if err != nil || !strings.Contains(string(answer), " 401 ") {
			t.Errorf("%s: %q %v", name, answer, err)
		}
	}
}
