package store

import "unique"

// What few records differ in is in memory once. A record that was read from
// etcd has strings of its own.

func shared[S ~string](s *S) {
	if *s != "" {
		*s = S(unique.Make(string(*s)).Value())
	}
}

func compactDevice(d *Device) {
	shared(&d.ProjectID)
	shared(&d.Plan)
	shared(&d.OperatingSystem)
	shared(&d.Metro)
	shared(&d.Facility)
	shared(&d.State)
	shared(&d.BillingCycle)
	shared(&d.CreatedBy)
	shared(&d.Operation)
	for i := range d.Tags {
		shared(&d.Tags[i])
	}
	for i := range d.SSHKeyIDs {
		shared(&d.SSHKeyIDs[i])
	}
}

func compactReservation(r *Reservation) {
	shared(&r.ProjectID)
	shared(&r.Type)
	shared(&r.Metro)
	shared(&r.Facility)
	shared(&r.CreatedBy)
}

func compactAssignment(a *Assignment) { shared(&a.Metro) }

// adoptIDs has an assignment use the IDs of its device and its reservation.
func (s *Snapshot) adoptIDs(a *Assignment) {
	if row, ok := s.Devices.Get(a.DeviceID); ok {
		a.DeviceID = row.Value.ID
	}
	if row, ok := s.Reservations.Get(a.ReservationID); ok {
		a.ReservationID = row.Value.ID
	}
}
