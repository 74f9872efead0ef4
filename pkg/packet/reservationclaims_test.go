package packet_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// slowLister lists one free reservation when it is told to.
type slowLister chan struct{}

func (l slowLister) HardwareReservations(context.Context, string, ...packet.QueryOption) ([]packet.HardwareReservation, error) {
	<-l
	return []packet.HardwareReservation{{ID: "one", Provisionable: true}}, nil
}

// TestAReservationIsNotGivenTwiceByAListOfBefore releases a claim while another one waits for a list in which the reservation is
// still free.
func TestAReservationIsNotGivenTwiceByAListOfBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lister := make(slowLister, 1)
		claims := packet.NewReservationClaims(lister, "project", time.Minute, packet.SystemClock{})
		lister <- struct{}{}
		if id, reason, err := claims.Claim(t.Context(), "ONE"); id != "one" || err != nil {
			t.Fatal(id, reason, err)
		}
		// What went wrong with another one has the list read anew.
		claims.Release("two", errors.New("refused"))
		second := make(chan string, 1)
		go func() {
			id, reason, err := claims.Claim(t.Context(), "one")
			if err != nil {
				t.Error(err)
			}
			second <- id + reason
		}()
		synctest.Wait()
		go claims.Release("one", nil)
		synctest.Wait()
		lister <- struct{}{}
		if got := <-second; !strings.Contains(got, "being given to another machine") {
			t.Errorf("the second claim got %q", got)
		}
	})
}

// TestAClaimThatNobodyWaitsForEnds is about a list that does not come.
func TestAClaimThatNobodyWaitsForEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lister := make(slowLister, 1)
		claims := packet.NewReservationClaims(lister, "project", time.Minute, packet.SystemClock{})
		go func() { _, _, _ = claims.Claim(t.Context(), "one") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := claims.Claim(ctx, "one"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		lister <- struct{}{}
	})
}
