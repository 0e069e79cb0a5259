package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
)

// serveMautrix is the library's application service and event processor with empty handlers.
func serveMautrix(listen, token string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	registration := &appservice.Registration{ID: "bare", AppToken: token, ServerToken: token, SenderLocalpart: "bare"}
	as, err := appservice.CreateFull(appservice.CreateOpts{
		Registration: registration, HomeserverDomain: "bench.example", HomeserverURL: "http://127.0.0.1:1",
		HostConfig: appservice.HostConfig{Hostname: host, Port: uint16(number)},
	})
	if err != nil {
		return err
	}
	as.Ready = true
	processor := appservice.NewEventProcessor(as)
	for _, kind := range []event.Type{event.EventMessage, event.EventReaction, event.StateMember} {
		processor.On(kind, func(context.Context, *event.Event) {})
	}
	processor.Start(context.Background())
	as.Start()
	return fmt.Errorf("stopped")
}
