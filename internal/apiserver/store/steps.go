package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// StepDone tells when a step of the device's present installation ended; ok is
// false while it has not.
func (d *Device) StepDone(step int) (at time.Time, ok bool) {
	if step >= len(d.Steps) || d.Steps[step] == 0 {
		return time.Time{}, false
	}
	return time.UnixMicro(d.Steps[step]).UTC(), true
}

// SetStep records that a step of the present installation ended. A step that
// ended before keeps its time. There are at most 64 steps: their number has
// six bits in an event's ID.
func (d *Device) SetStep(step int, at time.Time) {
	if _, ok := d.StepDone(step); ok {
		return
	}
	// The list belongs to an earlier record, too.
	steps := make([]int64, max(step+1, len(d.Steps)))
	copy(steps, d.Steps)
	steps[step] = at.UnixMicro()
	d.Steps = steps
}

// StepEventID is the ID of the event that tells of a step. It is made of the
// device's, so that it needs no memory, and the device is found by it.
func (d *Device) StepEventID(step int) string {
	return stepEventID(d.ID, d.Installation, step)
}

// stepEventID has, as a UUID of version 8 (RFC 9562), 60 bits of the device's
// handle, six of the step's number, eight of the installation's, and 48 that
// nobody guesses who does not know the device.
func stepEventID(deviceID string, installation, step int) string {
	handle := deviceHandle(deviceID)
	sum := sha256.Sum256([]byte(deviceID + "/" + strconv.Itoa(installation) + "/" + strconv.Itoa(step)))
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], handle)
	id[8] = 0x80 | byte(step)&0x3f
	id[9] = byte(installation)
	copy(id[10:], sum[:6])
	return id.String()
}

// deviceHandle is 60 bits of a device's ID, with a 8 where a UUID has its
// version.
func deviceHandle(id string) uint64 {
	var handle uint64
	if digits := strings.ReplaceAll(id, "-", ""); len(digits) == 32 {
		if data, err := hex.DecodeString(digits[:16]); err == nil {
			handle = binary.BigEndian.Uint64(data)
		}
	}
	if handle == 0 {
		sum := sha256.Sum256([]byte(id))
		handle = binary.BigEndian.Uint64(sum[:8])
	}
	return handle&^0xf000 | 0x8000
}

// StepOfEvent finds the device and the step that an event ID of StepEventID
// stands for.
func (s *Snapshot) StepOfEvent(id string) (device *Row[Device], step int, ok bool) {
	parsed, err := uuid.Parse(id)
	if err != nil || parsed.Version() != 8 {
		return nil, 0, false
	}
	row, ok := s.Devices.withHandle(binary.BigEndian.Uint64(parsed[:8]))
	if !ok {
		return nil, 0, false
	}
	step = int(parsed[8] & 0x3f)
	_, done := row.Value.StepDone(step)
	return row, step, done && row.Value.StepEventID(step) == id
}

// StepEvents counts the steps of the present installation that ended.
func (d *Device) StepEvents() int {
	return len(d.Steps) - len(slices.DeleteFunc(slices.Clone(d.Steps), func(at int64) bool { return at != 0 }))
}
