package operator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	"usher/invites"
	"usher/room"
)

// unreachable tells why no homeserver answers at homeserver.address, and what would help.
func (s setup) unreachable(err error) finding {
	if status := invites.HTTPStatus(err); status != 0 {
		return s.wrongAnswer(status, err)
	}
	var (
		dns       *net.DNSError
		hostname  x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		network   net.Error
	)
	switch {
	case errors.As(err, &dns):
		return finding{ill, room.Say("doctor.cause.dns", "host", dns.Name), room.Say("remedy.cause.dns")}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return finding{ill, room.Say("doctor.cause.refused"), room.Say("remedy.cause.refused")}
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return finding{ill, room.Say("doctor.cause.http"), room.Say("remedy.cause.http")}
	case strings.Contains(err.Error(), "malformed HTTP"): // an alert of TLS: net/http has no error for it
		return finding{ill, room.Say("doctor.cause.https"), room.Say("remedy.cause.https")}
	case errors.As(err, &hostname):
		return finding{ill, room.Say("doctor.cause.hostname", "error", hostname.Error()), room.Say("remedy.cause.hostname")}
	case errors.As(err, &authority):
		return finding{ill, room.Say("doctor.cause.authority"), room.Say("remedy.cause.authority")}
	case errors.As(err, &invalid):
		return finding{ill, room.Say("doctor.cause.expired", "error", invalid.Error()), room.Say("remedy.cause.expired")}
	case strings.Contains(err.Error(), "TLS handshake timeout"): // Synapse's plain port waits for more; net/http has no error for it
		return finding{ill, room.Say("doctor.cause.handshake"), room.Say("remedy.cause.http")}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return finding{ill, room.Say("doctor.cause.timeout"), room.Say("remedy.cause.timeout")}
	}
	return finding{ill, room.Say("doctor.cause.other", "error", err), room.Say("remedy.cause.other")}
}

// wrongAnswer tells what answers instead of a homeserver.
func (s setup) wrongAnswer(status int, err error) finding {
	code := invites.Errcode(err)
	switch {
	case s.cfg.Homeserver.Address == s.cfg.Appservice.Address:
		return finding{ill, room.Say("doctor.cause.self"), room.Say("remedy.cause.self")}
	case status >= 300 && status < 400:
		return finding{ill, room.Say("doctor.cause.redirect", "status", status), room.Say("remedy.cause.redirect")}
	case code == "M_UNRECOGNIZED", code == "M_NOT_FOUND", status == http.StatusNotFound && code != "":
		return finding{ill, room.Say("doctor.cause.path", "error", code), room.Say("remedy.cause.path")}
	case status == http.StatusBadRequest && code == "": // nginx, Go and others say so to plain HTTP on a port of TLS
		return finding{ill, room.Say("doctor.cause.https"), room.Say("remedy.cause.https")}
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return finding{ill, room.Say("doctor.cause.proxy", "status", status), room.Say("remedy.cause.proxy")}
	case code == "" && (status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusProxyAuthRequired):
		return finding{ill, room.Say("doctor.cause.forbidden", "status", status), room.Say("remedy.cause.forbidden")}
	case code == "":
		return finding{ill, room.Say("doctor.cause.web", "status", status), room.Say("remedy.cause.web")}
	}
	return finding{ill, room.Say("doctor.cause.other", "error", err), room.Say("remedy.cause.other")}
}
