package store_test

// The suite has every promise of the store as a test, to run on each database. A promise is a function testX(t, s) in the file of
// its subject and a line in runSuite. It uses the methods of Store only, and knows no SQL.

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
	"usher/store"
)

// Store is the store under test.
type Store = *store.Store

// runSuite tests the stores returned by open. Each is empty, and closed at the end of its test.
func runSuite(t *testing.T, open func(t *testing.T) Store) {
	tests := []struct {
		name string
		run  func(*testing.T, Store)
	}{
		{"ReceiveOnce", testReceiveOnce},
		{"ReceiveConcurrently", testReceiveConcurrently},
		{"ReceiveMany", testReceiveMany},
		{"ReceiveKeepsEverything", testReceiveKeepsEverything},
		{"Waiting", testWaiting},
		{"Redact", testRedact},
		{"Answer", testAnswer},
		{"Clean", testClean},
		{"CleanRecords", testCleanRecords},
		{"Quarantine", testQuarantine},
		{"CreateEvent", testCreateEvent}, {"Language", testLanguage}, {"Plans", testPlans},
		{"RecordKeepsEverything", testRecordKeepsEverything},
		{"RecordClaimed", testRecordClaimed},
		{"RecordTwice", testRecordTwice},
		{"RecordMany", testRecordMany},
		{"RecordConcurrently", testRecordConcurrently},
		{"RecordAudit", testRecordAudit}, {"GivenUpWrite", testGivenUpWrite},
		{"Claim", testClaim},
		{"ClaimConcurrently", testClaimConcurrently},
		{"ClaimMany", testClaimMany}, {"ClockSetBack", testClockSetBack},
		{"Settle", testSettle},
		{"SettleFenced", testSettleFenced},
		{"SettleMany", testSettleMany},
		{"SettleThen", testSettleThen},
		{"Spend", testSpend},
		{"Refund", testRefund},
		{"SpendConcurrently", testSpendConcurrently},
		{"SpaceChildren", testSpaceChildren},
		{"Release", testRelease},
		{"Due", testDue},
		{"CardKeepsEverything", testCardKeepsEverything},
		{"CardNumbers", testCardNumbers}, {"OpenCards", testOpenCards},
		{"Votes", testVotes},
		{"CloseCard", testCloseCard},
		{"CloseWaiting", testCloseWaiting},
		{"Knocked", testKnocked},
		{"Ledger", testLedger}, {"Addresses", testAddresses}, {"AddressAsked", testAddressAsked}, {"InboundAfter", testInboundAfter},
		{"LedgerWays", testLedgerWays},
		{"LedgerBehind", testLedgerBehind},
		{"LedgerAgain", testLedgerAgain},
		{"LedgerComplete", testLedgerComplete},
		{"LedgerPending", testLedgerPending},
		{"Expiries", testExpiries},
		{"Tree", testTree},
		{"Tallies", testTallies},
		{"HostileText", testHostileText},
		{"Cancelled", testCancelled},
		{"Guard", testGuard},
		{"Sessions", testSessions}, {"Entries", testEntries}, {"Links", testLinks}, {"LinkSecrets", testLinkSecrets}, {"LastUse", testLastUse},
		{"Letters", testLetters}, {"LetterEnds", testLetterEnds}, {"LetterBlocks", testLetterBlocks}, {"LettersSpend", testLettersSpend}, {"Moves", testMoves}, {"Movers", testMovers}, {"Welcomes", testWelcomes}, {"SpaceWaits", testSpaceWaits},
		{"Bulk", testBulk},
		{"Ping", testPing},
		{"Together", testTogether},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

// epoch is when the tests play.
var epoch = time.UnixMilli(1_700_000_000_123).UTC()

func event(n int) invites.Received {
	return invites.Received{
		Event: id.EventID(fmt.Sprintf("$event%d", n)), Room: "!room:example.org", Sender: "@alice:example.org", Type: "m.room.message",
		Raw: json.RawMessage(`{}`), SentAt: epoch, ReceivedAt: epoch,
	}
}

func events(from, to int) (list []invites.Received) {
	for n := from; n < to; n++ {
		list = append(list, event(n))
	}
	return list
}

func invitation(n int) invites.Change {
	return invites.Change{
		Origin: invites.OriginCommand, Request: "$command", Command: "$command", CommandRoom: "!room:example.org", Action: room.Invite, Room: "!room:example.org",
		Target: id.UserID(fmt.Sprintf("@user%d:example.org", n)), Actor: "@alice:example.org", Performer: "@usher:example.org",
		Status: invites.StatusOpen, DueAt: epoch, CreatedAt: epoch,
	}
}

func invitations(from, to int) (list []invites.Change) {
	for n := from; n < to; n++ {
		list = append(list, invitation(n))
	}
	return list
}

func decision(n int) invites.Audit {
	i := invitation(n)
	return invites.Audit{At: epoch, Kind: "decision", Action: i.Action, Room: i.Room, Actor: i.Actor, Performer: i.Performer,
		Target: i.Target, Verdict: "allow", Request: i.Request}
}

// waiting returns the unhandled events, read back whole.
func waiting(t *testing.T, s Store) (list []invites.Received) {
	t.Helper()
	for _, key := range must(s.WaitingAfter(t.Context(), 0, 1000))(t) {
		list = append(list, must(s.Received(t.Context(), key.Event))(t))
	}
	return list
}

// must returns v, or ends the test.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ids(list []invites.Change) (rows []int64) {
	for _, i := range list {
		rows = append(rows, i.ID)
	}
	return rows
}
