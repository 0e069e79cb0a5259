package plan

import (
	"testing"

	"maunium.net/go/mautrix/id"
)

// TestUnite: an exclusive source that is empty is a fault, although another source names people.
func TestUnite(t *testing.T) {
	five, six := int64(5), int64(6)
	people := func(users ...id.UserID) (list []Person) {
		for _, u := range users {
			list = append(list, Person{User: u})
		}
		return list
	}
	all, exclusive, err := Unite([]Source{{People: people("@b:x", "@a:x")}, {Exclusive: true, People: []Person{{"@a:x", &five}}}})
	if err != nil || !exclusive || len(all) != 2 || all[0].User != "@a:x" || *all[0].Power != 5 || all[1].Power != nil {
		t.Errorf("%+v %v %v", all, exclusive, err)
	}
	if _, _, err := Unite([]Source{{People: people("@a:x")}, {Exclusive: true}}); err == nil {
		t.Error("an empty source")
	}
	if _, _, err := Unite([]Source{{People: []Person{{"@a:x", &five}}}, {People: []Person{{"@a:x", &six}}}}); err == nil {
		t.Error("two powers of one person")
	}
}
