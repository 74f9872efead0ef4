package catalogue_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
)

func TestEveryEntryIsFoundAndHasItsOwnID(t *testing.T) {
	c := catalogue.New()
	ids := map[string]string{}
	check := func(kind, name, id string, found bool) {
		t.Helper()
		if !found {
			t.Errorf("%s %s is not found by its name", kind, name)
		}
		if _, err := uuid.Parse(id); err != nil {
			t.Errorf("%s %s has the ID %q: %v", kind, name, id, err)
		}
		if other, taken := ids[id]; taken {
			t.Errorf("%s %s has the ID of %s", kind, name, other)
		}
		ids[id] = name
	}
	for _, metro := range c.Metros {
		_, found := c.Metro(metro.Code)
		check("metro", metro.Code, metro.ID, found)
		facility := c.FacilityIn(metro.Code)
		if facility == nil || facility.Metro.Code != metro.Code || facility.Address == nil {
			t.Errorf("metro %s has the facility %+v", metro.Code, facility)
		}
	}
	for _, facility := range c.Facilities {
		_, found := c.Facility(facility.Code)
		check("facility", facility.Code, facility.ID, found)
	}
	for _, plan := range c.Plans {
		_, found := c.Plan(plan.Slug)
		check("plan", plan.Slug, plan.ID, found)
		if byID, ok := c.Plan(plan.ID); !ok || byID.Slug != plan.Slug {
			t.Errorf("plan %s is not found by its ID", plan.Slug)
		}
		if plan.CPUs < 1 || plan.MemoryBytes < 1<<30 || plan.Pricing.Hour <= 0 {
			t.Errorf("plan %s has %d CPUs, %d bytes, costs %v", plan.Slug, plan.CPUs, plan.MemoryBytes, plan.Pricing)
		}
	}
	for _, system := range c.OperatingSystems {
		_, found := c.OperatingSystem(system.Slug)
		check("operating system", system.Slug, system.ID, found)
		for _, slug := range system.ProvisionableOn {
			if _, ok := c.Plan(slug); !ok {
				t.Errorf("operating system %s is for the plan %s, which does not exist", system.Slug, slug)
			}
		}
	}
	if metro, ok := c.Metro("DA"); !ok || metro.Code != "da" {
		t.Error("a code in capitals is not found")
	}
	windows, _ := c.OperatingSystem("windows_2022")
	if slices.Contains(windows.ProvisionableOn, "c3.large.arm64") {
		t.Error("Windows is offered on ARM")
	}
}

// TestIDsAreTheSameEverywhere keeps the IDs that servers have handed out.
func TestIDsAreTheSameEverywhere(t *testing.T) {
	c := catalogue.New()
	dallas, _ := c.Metro("da")
	newark, _ := c.Facility("ewr1")
	small, _ := c.Plan("c3.small.x86")
	for got, want := range map[string]string{
		dallas.ID: "d3d6b29f-042d-43b7-b3ce-0bf53d5754ca",
		newark.ID: "e1e9c52e-a0bc-4117-b996-0fc94843ea09",
		small.ID:  "39da712c-fdb2-54c4-b057-375366496ce5",
	} {
		if got != want {
			t.Errorf("an ID is %s, want %s", got, want)
		}
	}
}
