package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Version 1 had every provisioning event as a record. Version 2 has those of a
// device's present installation in the device, as the times of its steps.

// stepEvent1 is what is needed of an event of version 1.
type stepEvent1 struct {
	DeviceID     string    `json:"deviceID"`
	Type         string    `json:"type"`
	Installation int       `json:"installation"`
	CreatedAt    time.Time `json:"createdAt"`
}

// device1 is what is needed of a device of version 1.
type device1 struct {
	ID              string `json:"id"`
	OperatingSystem string `json:"operatingSystem"`
	Installation    int    `json:"installation"`
}

// step is the number of the step that an event of version 1 is about: they
// were provisioning.101 to 110, in this order.
func (e stepEvent1) step() (int, bool) {
	number, ok := strings.CutPrefix(e.Type, "provisioning.")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(number)
	return n - 101, err == nil && n >= 101 && n <= 110
}

// customIPXESteps1 is how many steps a device with an operating system of its
// user's own has in version 2. In version 1 it had all of them; what is left
// over stay events.
const customIPXESteps1 = 4

func foldSteps(entries []entry) ([]entry, error) {
	devices := map[string]device1{}
	for _, e := range entries {
		if !strings.HasPrefix(e.key, "devices/") {
			continue
		}
		var device device1
		if err := json.Unmarshal(e.value, &device); err != nil {
			return nil, fmt.Errorf("reading the record %s: %w", e.key, err)
		}
		devices[device.ID] = device
	}

	steps := map[string][]int64{}
	var folded error
	entries = slices.DeleteFunc(entries, func(e entry) bool {
		if e.key == "last-write" {
			return true
		}
		if !strings.HasPrefix(e.key, "events/") || folded != nil {
			return false
		}
		var event stepEvent1
		if err := json.Unmarshal(e.value, &event); err != nil {
			folded = fmt.Errorf("reading the record %s: %w", e.key, err)
			return false
		}
		device, exists := devices[event.DeviceID]
		step, ok := event.step()
		if !exists || !ok || event.Installation != device.Installation ||
			device.OperatingSystem == "custom_ipxe" && step >= customIPXESteps1 {
			return false
		}
		times := steps[device.ID]
		for len(times) <= step {
			times = append(times, 0)
		}
		times[step] = event.CreatedAt.UnixMicro()
		steps[device.ID] = times
		return true
	})
	if folded != nil {
		return nil, folded
	}

	for i, e := range entries {
		times := steps[strings.TrimPrefix(e.key, "devices/")]
		if !strings.HasPrefix(e.key, "devices/") || times == nil {
			continue
		}
		var record map[string]json.RawMessage
		if err := json.Unmarshal(e.value, &record); err != nil {
			return nil, fmt.Errorf("reading the record %s: %w", e.key, err)
		}
		data, err := json.Marshal(times)
		if err != nil {
			return nil, fmt.Errorf("writing the steps of %s: %w", e.key, err)
		}
		record["steps"] = data
		if entries[i].value, err = json.Marshal(record); err != nil {
			return nil, fmt.Errorf("writing the record %s: %w", e.key, err)
		}
	}
	return entries, nil
}
