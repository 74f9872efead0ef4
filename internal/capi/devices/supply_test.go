package devices

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/packetyard/packetyard/pkg/packet"
)

// slow lists one free reservation when it is told to.
type slow struct {
	SupplyReader
	answers chan struct{}
}

func (s slow) HardwareReservations(context.Context, string, ...packet.QueryOption) ([]packet.HardwareReservation, error) {
	<-s.answers
	return []packet.HardwareReservation{{ID: "one", Provisionable: true}}, nil
}

// TestAReservationIsNotGivenTwiceByAListOfBefore releases a claim while another one waits for a list in which the reservation is
// still free.
func TestAReservationIsNotGivenTwiceByAListOfBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := slow{answers: make(chan struct{}, 1)}
		supply := NewSupply(reader, "project", packet.SystemClock{})
		reader.answers <- struct{}{}
		if id, reason, err := supply.claim(t.Context(), "one"); id != "one" || err != nil {
			t.Fatal(id, reason, err)
		}
		// What another one learnt to be wrong is forgotten, so that the next claim reads the list anew.
		supply.reservations.Forget()
		second := make(chan string, 1)
		go func() {
			id, reason, err := supply.claim(t.Context(), "one")
			if err != nil {
				t.Error(err)
			}
			second <- id + reason
		}()
		synctest.Wait()
		go supply.release("one", nil)
		synctest.Wait()
		reader.answers <- struct{}{}
		if got := <-second; !strings.Contains(got, "being given to another machine") {
			t.Errorf("the second claim got %q", got)
		}
	})
}
