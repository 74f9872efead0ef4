package packet

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDeviceIsReadFromTheWire(t *testing.T) {
	var d Device
	if err := json.Unmarshal([]byte(deviceJSON(testDevice, "node-1")), &d); err != nil {
		t.Fatalf("decoding: %v", err)
	}
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"id", d.ID, testDevice},
		{"hostname", d.Hostname, "node-1"},
		{"state", d.State, StateActive},
		{"percentage", d.ProvisioningPercentage, 57.142857142857146},
		{"plan", d.Plan.Slug, "c3.small.x86"},
		{"price", d.Plan.Pricing.Hour, 0.75},
		{"memory", d.Plan.Specs.Memory.Total, "32GB"},
		{"operating system", d.OperatingSystem.Slug, "ubuntu_24_04"},
		{"facility", d.Facility.Code, "da11"},
		{"facility's metro", d.Facility.Metro.Code, "da"},
		{"metro", d.Metro.Code, "da"},
		{"project", Href{d.Project.Href}.ID(), testProject},
		{"addresses", len(d.IPAddresses), 3},
		{"private address", d.IPAddresses[2].Address, "10.0.0.1"},
		{"parent block", *d.IPAddresses[2].ParentBlock, ParentBlock{
			Network: "10.0.0.0", Netmask: "255.255.255.128", CIDR: 25, Href: "/metal/v1/ips/55555555-5555-4555-8555-555555555555"}},
		{"assigned to", d.IPAddresses[0].AssignedTo.ID(), testDevice},
		{"bond", d.NetworkPorts[1].Bond.Name, "bond0"},
		{"MAC", d.NetworkPorts[1].Data.MAC, "0c:c4:7a:e5:44:c8"},
		{"event", d.ProvisioningEvents[0].Type, EventProvisioningStarted},
		{"event to come", d.ProvisioningEvents[1].CreatedAt, (*Timestamp)(nil)},
		{"created", d.CreatedAt.Time, time.Date(2026, 11, 21, 11, 57, 12, 0, time.UTC)},
		{"customdata", string(d.CustomData), `{"rack": 7}`},
	} {
		if !reflect.DeepEqual(check.got, check.want) {
			t.Errorf("%s is %v, want %v", check.what, check.got, check.want)
		}
	}
}

func TestDeviceSurvivesTheWire(t *testing.T) {
	var first, second Device
	if err := json.Unmarshal([]byte(deviceJSON(testDevice, "node-1")), &first); err != nil {
		t.Fatal(err)
	}
	once, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(once, &second); err != nil {
		t.Fatal(err)
	}
	twice, err := json.Marshal(second)
	if err != nil || string(once) != string(twice) {
		t.Errorf("a device changed on the wire: %v\n%s\n%s", err, once, twice)
	}
}

// The closed schema of the API; one more key and the published SDK reads no
// reservation of the project any more.
func TestIPReservationHasNoKeysBeyondTheSchema(t *testing.T) {
	allowed := strings.Fields(`addon address address_family assignments available bill cidr created_at customdata enabled details
		facility gateway global_ip href id manageable management metal_gateway metro netmask network project project_lite
		requested_by public state tags type`)
	kind := reflect.TypeFor[IPReservation]()
	for i := range kind.NumField() {
		key, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
		if !slices.Contains(allowed, key) {
			t.Errorf("field %s has the key %q, which the schema does not allow", kind.Field(i).Name, key)
		}
	}
}

func TestAssignmentKnownByReferenceIsAReference(t *testing.T) {
	for _, test := range []struct {
		name string
		in   IPAssignment
		want string
	}{
		{"reference", IPAssignment{Href: "/metal/v1/ips/x"}, `{"href":"/metal/v1/ips/x"}`},
		{"full", IPAssignment{ID: "a", Href: "/h", Address: "10.0.0.1", CIDR: 31, AddressFamily: 4},
			`{"id":"a","href":"/h","address":"10.0.0.1","network":"","netmask":"","gateway":"","cidr":31,"address_family":4,"public":false,` +
				`"management":false,"manageable":false,"global_ip":false,"enabled":false}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := json.Marshal(test.in)
			if err != nil || string(got) != test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestFacilityCodes(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     FacilityCodes
		out      string
		wrong    bool
	}{
		{name: "string", in: `"da11"`, want: FacilityCodes{"da11"}, out: `"da11"`},
		{name: "empty string", in: `""`, want: nil, out: `[]`},
		{name: "null", in: `null`, want: nil, out: `[]`},
		{name: "list", in: `["da11","any"]`, want: FacilityCodes{"da11", "any"}, out: `["da11","any"]`},
		{name: "number", in: `11`, wrong: true},
		{name: "list of numbers", in: `[11]`, wrong: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got FacilityCodes
			err := json.Unmarshal([]byte(test.in), &got)
			if test.wrong {
				if err == nil {
					t.Fatalf("read as %v, want an error", got)
				}
				return
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Fatalf("got %v, %v, want %v", got, err, test.want)
			}
			if len(got) > 0 {
				if out, err := json.Marshal(got); err != nil || string(out) != test.out {
					t.Errorf("written as %s, %v, want %s", out, err, test.out)
				}
			}
		})
	}
	create, err := json.Marshal(DeviceCreate{Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da"})
	if err != nil || strings.Contains(string(create), "facility") {
		t.Errorf("a request without facility is %s, %v", create, err)
	}
}

func TestTimestamps(t *testing.T) {
	moment := time.Date(2021, 9, 3, 13, 32, 0, 0, time.UTC)
	for _, test := range []struct {
		in    string
		want  time.Time
		wrong bool
	}{
		{in: `"2021-09-03T13:32:00Z"`, want: moment},
		{in: `"2021-09-03T16:32:00+03:00"`, want: moment},
		{in: `"2021-09-03T13:32:00"`, want: moment},
		{in: `"2021-09-03T13:32:00.25Z"`, want: moment.Add(250 * time.Millisecond)},
		{in: `null`},
		{in: `""`},
		{in: `"soon"`, wrong: true},
		{in: `12`, wrong: true},
	} {
		var got Timestamp
		err := json.Unmarshal([]byte(test.in), &got)
		if (err != nil) != test.wrong || !got.Equal(test.want) {
			t.Errorf("%s is read as %v, %v, want %v", test.in, got, err, test.want)
		}
	}
	out, err := json.Marshal(NewTimestamp(moment.In(time.FixedZone("", 7200)).Add(250 * time.Millisecond)))
	if err != nil || string(out) != `"2021-09-03T13:32:00Z"` {
		t.Errorf("written as %s, %v", out, err)
	}
	if out, err := json.Marshal(Timestamp{}); err != nil || string(out) != "null" {
		t.Errorf("the zero time is written as %s, %v", out, err)
	}
}

func TestHrefID(t *testing.T) {
	for href, want := range map[string]string{
		"":                                       "",
		"/devices/abc":                           "abc",
		"/metal/v1/devices/abc/":                 "abc",
		"https://api/metal/v1/devices/abc?x=/y":  "abc",
		"#e61a1f9c-3c4f-4a2a-9a55-6f2b8e0c7d10x": "",
	} {
		if got := (Href{href}).ID(); got != want {
			t.Errorf("ID of %q is %q, want %q", href, got, want)
		}
	}
}
