package apiserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// raw sends a request as it is written and returns the answer with its body.
func raw(t testing.TB, server *apiservertest.Server, method, path, body string) (*http.Response, map[string]any) {
	t.Helper()
	return rawAs(t, server, server.Token, method, path, body)
}

func rawAs(t testing.TB, server *apiservertest.Server, token, method, path, body string) (*http.Response, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if len(bytes.TrimSpace(data)) > 0 {
		if err := json.Unmarshal(data, &object); err != nil {
			t.Fatalf("%s %s: the answer is not JSON: %.200s", method, path, data)
		}
	}
	return answer, object
}

func errorsOf(object map[string]any) []string {
	var texts []string
	list, _ := object["errors"].([]any)
	for _, text := range list {
		texts = append(texts, fmt.Sprint(text))
	}
	return texts
}

func TestBadInput(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	devices := "/projects/" + server.ProjectID + "/devices"
	ips := "/projects/" + server.ProjectID + "/ips"
	valid := func(more string) string {
		return `{"plan":"c3.small.x86","operating_system":"ubuntu_24_04","metro":"da"` + more + `}`
	}
	long, err := json.Marshal("#!/bin/sh\n" + strings.Repeat("x", 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	device := activeDevice(t, c, server.ProjectID, order("bad-input"))
	before, err := c.IPReservations(t.Context(), server.ProjectID)
	if err != nil {
		t.Fatal(err)
	}

	key := `{"label":"k","key":"` + testKey + `"}`
	for _, test := range []struct {
		name, method, path, body string
		status                   int
		// texts are parts of the errors, one for each.
		texts []string
	}{
		{"not JSON", "POST", devices, "plan=c3", 400, []string{"not JSON"}},
		{"cut off", "POST", devices, `{"plan":`, 400, []string{"not JSON"}},
		{"no object", "POST", devices, `[]`, 400, []string{"must be an object"}},
		{"empty", "POST", devices, "", 400, []string{"empty"}},
		{"too large", "POST", devices, valid(`,"description":"` + strings.Repeat("x", 1<<20) + `"`), 413, []string{"larger than 1048576 bytes"}},
		{"too large a record", "POST", devices, valid(`,"customdata":{"x":"` + strings.Repeat("<", 900000) + `"}`), 413, []string{"too large to be kept"}},
		{"termination time", "POST", devices, valid(`,"termination_time":"soon"`), 422, []string{`termination_time: reading a time: "soon" is not RFC 3339`}},
		{"too many keys", "POST", devices, valid(`,"ssh_keys":[` + strings.Repeat(key+",", 64) + key + `]`), 422, []string{"ssh_keys has 65 keys, it must have at most 64"}},
		{"wrong type", "POST", devices, valid(`,"hostname":5`), 422, []string{"hostname must be a string, not a JSON number"}},
		{"nothing given", "POST", devices, `{}`, 422, []string{
			"plan can't be blank: it is one of a3.large.x86", "operating_system can't be blank", "Facility can't be blank: give a metro (am"}},
		{"all unknown", "POST", devices, `{"plan":"c9","operating_system":"dos","metro":"xx"}`, 422, []string{
			`plan "c9" is not one of: a3.large.x86`, `operating_system "dos" is not one of: almalinux_8`, `metro "xx" is not one of: any, am, at`}},
		{"unknown facility", "POST", devices, `{"plan":"c3.small.x86","operating_system":"ubuntu_24_04","facility":["nowhere1"]}`, 422,
			[]string{`facility "nowhere1" is not one of: any, am6`}},
		{"facility of another metro", "POST", devices, valid(`,"facility":"sv15"`), 422, []string{`facility "sv15" is not in metro "da"`}},
		{"user data too long", "POST", devices, valid(`,"userdata":` + string(long)), 422, []string{"userdata has 65546 bytes, it must have at most 65536"}},
		{"user data of no kind", "POST", devices, valid(`,"userdata":"echo secret"`), 422, []string{"userdata does not begin with"}},
		{"JSON that is not Ignition", "POST", devices, valid(`,"userdata":"{\"a\":1}"`), 422, []string{"userdata does not begin with"}},
		{"host name", "POST", devices, valid(`,"hostname":"a_b"`), 422, []string{`hostname "a_b"`}},
		{"billing cycle", "POST", devices, valid(`,"billing_cycle":"never"`), 422, []string{`billing_cycle "never" is not one of: hourly`}},
		{"spot", "POST", devices, valid(`,"spot_instance":true`), 422, []string{"spot_instance"}},
		{"no private address", "POST", devices, valid(`,"ip_addresses":[{"address_family":4,"public":true}]`), 422, []string{"private IPv4"}},
		{"address family", "POST", devices, valid(`,"ip_addresses":[{"address_family":5},{"address_family":4,"public":false}]`), 422,
			[]string{"ip_addresses[0].address_family 5 is not one of: 4, 6"}},
		{"unknown key", "POST", devices, valid(`,"project_ssh_keys":["` + device.ID + `"]`), 422, []string{"project_ssh_keys"}},
		{"wrong OS for the plan", "POST", devices, `{"plan":"c3.large.arm64","operating_system":"windows_2022","metro":"da"}`, 422,
			[]string{`operating_system "windows_2022" cannot be installed on plan "c3.large.arm64"`}},
		{"iPXE without a script", "POST", devices, `{"plan":"c3.small.x86","operating_system":"custom_ipxe","metro":"da"}`, 422, []string{"ipxe_script_url"}},
		{"hardware reservation", "POST", devices, valid(`,"hardware_reservation_id":"next-available"`), 503,
			[]string{"There are no available hardware reservations for selected plan and facility"}},
		{"unknown project", "POST", "/projects/" + device.ID + "/devices", valid(""), 404, []string{"Not found"}},
		{"page", "GET", devices + "?page=x", "", 422, []string{`page "x" is not a number`}},
		{"unknown device", "GET", "/devices/" + server.ProjectID, "", 404, []string{"Not found"}},
		{"no UUID", "GET", "/devices/x", "", 404, []string{"Not found"}},
		{"unknown path", "GET", "/nothing/here", "", 404, []string{"Not found"}},
		{"unknown method", "DELETE", "/devices/" + device.ID + "/events", "", 405, []string{"Method DELETE is not one of"}},
		{"not implemented", "GET", "/incidents", "", 501, []string{"findIncidents (GET /incidents) is not implemented"}},
		{"action", "POST", "/devices/" + device.ID + "/actions", `{"type":"explode"}`, 422, []string{`type "explode" is not one of: power_on`}},
		{"action in this state", "POST", "/devices/" + device.ID + "/actions", `{"type":"power_on"}`, 422, []string{"Cannot power on a device while it is active"}},
		{"reservation", "POST", ips, `{"type":"public_ipv5","quantity":3,"metro":"xx"}`, 422, []string{
			`type "public_ipv5" is not one of: public_ipv4`, "quantity 3 is not one of: 1, 2", `metro "xx" is not one of`}},
		{"reservation nowhere", "POST", ips, `{"type":"public_ipv4","quantity":1}`, 422, []string{"Facility can't be blank"}},
		{"quantity", "POST", ips, `{"type":"public_ipv4","quantity":"many","metro":"da"}`, 422, []string{"quantity"}},
		{"assignment", "POST", "/devices/" + device.ID + "/ips", `{"address":"nine"}`, 422, []string{`address "nine"`}},
		{"foreign address", "POST", "/devices/" + device.ID + "/ips", `{"address":"198.19.0.1"}`, 422, []string{`address "198.19.0.1" is in no elastic IP reservation`}},
		{"own address", "DELETE", "/ips/" + device.IPAddresses[0].ID, "", 422, []string{"device's own"}},
		{"own block", "DELETE", "/ips/" + device.IPAddresses[2].ParentBlock.Href[len("/metal/v1/ips/"):], "", 422, []string{"goes with the last of them"}},
		{"BGP", "POST", "/projects/" + server.ProjectID + "/bgp-configs", `{"deployment_type":"lokal","asn":-1,"md5":"short"}`, 422,
			[]string{`deployment_type "lokal" is not one of: local, global`, "asn -1", "md5 must have"}},
		{"BGP not enabled", "POST", "/devices/" + device.ID + "/bgp/sessions", `{"address_family":"ipv4"}`, 422, []string{"BGP is not enabled"}},
		{"SSH key", "POST", "/projects/" + server.ProjectID + "/ssh-keys", `{"label":"","key":"rsa"}`, 422, []string{"label can't be blank", `key "rsa"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, object := raw(t, server, test.method, test.path, test.body)
			got := errorsOf(object)
			if answer.StatusCode != test.status || len(got) != len(test.texts) {
				t.Fatalf("answer is %d with %q, want %d with %d errors", answer.StatusCode, got, test.status, len(test.texts))
			}
			for i, text := range test.texts {
				if !strings.Contains(got[i], text) {
					t.Errorf("error %d is %q, want it to have %q", i, got[i], text)
				}
				if strings.Contains(got[i], "echo secret") {
					t.Errorf("error %q repeats the user data", got[i])
				}
			}
			if contentType := answer.Header.Get("Content-Type"); contentType != "application/json; charset=utf-8" {
				t.Errorf("Content-Type is %q", contentType)
			}
		})
	}

	// None of that changed anything.
	all, err := c.Devices(t.Context(), server.ProjectID, packet.DeviceFilter{})
	if err != nil || len(all) != 1 {
		t.Errorf("%d devices (%v) after requests that were refused, want 1", len(all), err)
	}
	after, err := c.IPReservations(t.Context(), server.ProjectID)
	if err != nil || len(after) != len(before) {
		t.Errorf("%d reservations (%v) after requests that were refused, want %d", len(after), err, len(before))
	}
}

func TestTokens(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	for name, token := range map[string]string{"none": "", "wrong": "wrong", "almost": server.Token + "x"} {
		answer, object := rawAs(t, server, token, "GET", "/projects", "")
		if answer.StatusCode != http.StatusUnauthorized || !slices.Equal(errorsOf(object), []string{"Invalid authentication token"}) {
			t.Errorf("token %s: %d %v, want 401 with the API's text", name, answer.StatusCode, object)
		}
	}
	if answer, _ := raw(t, server, "GET", "/projects", ""); answer.StatusCode != http.StatusOK {
		t.Errorf("the right token: %d", answer.StatusCode)
	}
}

func TestUserDataOfEveryKind(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	for _, userdata := range []string{
		"",
		"#!/bin/sh\ntrue\n",
		"#cloud-config\n{}\n",
		"## template: jinja\n#cloud-config\n{}\n",
		"#ps1_sysnative\n",
		"#!ipxe\n",
		"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x--\n",
		"Content-Type: multipart/mixed; boundary=\"x\"\nMIME-Version: 1.0\n\n--x--\n",
		`{"ignition":{"version":"3.4.0"}}`,
		"#!/bin/sh\n" + strings.Repeat("x", 64<<10-10),
	} {
		create := order("")
		create.Userdata = userdata
		device, err := c.CreateDevice(t.Context(), server.ProjectID, create)
		if err != nil {
			t.Errorf("user data %.40q: %v", userdata, err)
			continue
		}
		if device.Userdata != userdata {
			t.Errorf("user data %.40q came back as %.40q", userdata, device.Userdata)
		}
		if want := device.ShortID + ".packethost.net"; device.Hostname != want {
			t.Errorf("the host name is %q, want %q", device.Hostname, want)
		}
	}
}

func TestPagesAndFilters(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	for i := range 23 {
		create := order(fmt.Sprintf("node-%02d", i))
		create.Tags = []string{fmt.Sprintf("number:%d", i), "all"}
		if i == 22 {
			create.Metro = "sv"
		}
		if _, err := c.CreateDevice(t.Context(), server.ProjectID, create); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]struct{ length, total, last int }{
		"":                             {10, 23, 3},
		"?page=3":                      {3, 23, 3},
		"?page=4":                      {0, 23, 3},
		"?page=0&per_page=-1":          {1, 23, 23},
		"?per_page=5000":               {23, 23, 1},
		"?tag=number:7":                {1, 1, 1},
		"?tag=number":                  {0, 0, 1},
		"?hostname=NODE-1":             {10, 10, 1},
		"?search=node-0&per_page=4":    {4, 10, 3},
		"?metro=sv,am":                 {1, 1, 1},
		"?facility=da11":               {10, 22, 3},
		"?reserved=true":               {0, 0, 1},
		"?has_termination_time=false":  {10, 23, 3},
		"?categories=storage":          {0, 0, 1},
		"?type=ondemand&hostname=-22":  {1, 1, 1},
		"?search=number:3&exclude=all": {1, 1, 1},
	} {
		answer, object := raw(t, server, "GET", "/projects/"+server.ProjectID+"/devices"+query, "")
		list, _ := object["devices"].([]any)
		meta, _ := object["meta"].(map[string]any)
		if answer.StatusCode != http.StatusOK || len(list) != want.length || meta["total"] != float64(want.total) || meta["last_page"] != float64(want.last) {
			t.Errorf("%q: %d devices, meta %v; want %+v", query, len(list), meta, want)
		}
	}
	_, object := raw(t, server, "GET", "/projects/"+server.ProjectID+"/devices?page=2&tag=all", "")
	meta := object["meta"].(map[string]any)
	next := meta["next"].(map[string]any)["href"].(string)
	if want := "/projects/" + server.ProjectID + "/devices?page=3&tag=all"; next != want {
		t.Errorf("next is %q, want %q", next, want)
	}
}

func TestIncludeAndExclude(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	device := activeDevice(t, c, server.ProjectID, order("includes"))
	path := "/devices/" + device.ID

	at := func(object map[string]any, path ...string) any {
		var value any = object
		for _, name := range path {
			switch v := value.(type) {
			case map[string]any:
				value = v[name]
			case []any:
				value = v[0].(map[string]any)[name]
			}
		}
		return value
	}
	keys := func(value any) []string {
		if list, ok := value.([]any); ok {
			value = list[0]
		}
		var names []string
		for name := range value.(map[string]any) {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}

	_, plain := raw(t, server, "GET", path, "")
	if got := keys(plain["project"]); !slices.Equal(got, []string{"href"}) {
		t.Errorf("a project has the keys %v without being asked for, want href", got)
	}
	_, included := raw(t, server, "GET", path+"?include=project.organization,ip_addresses.parent_block,no_such_thing", "")
	if at(included, "project", "organization", "name") == nil {
		t.Errorf("project.organization was not included: %v", included["project"])
	}
	if got := keys(at(included, "ip_addresses", "parent_block")); !slices.Equal(got, []string{"cidr", "href", "netmask", "network"}) {
		t.Errorf("a parent block has the keys %v", got)
	}
	_, excluded := raw(t, server, "GET", path+"?exclude=plan,facility.metro,ip_addresses", "")
	for name, got := range map[string]any{
		"plan": excluded["plan"], "facility.metro": at(excluded, "facility", "metro"), "ip_addresses": at(excluded, "ip_addresses"),
	} {
		if got := keys(got); !slices.Equal(got, []string{"href"}) {
			t.Errorf("%s has the keys %v after being excluded, want href", name, got)
		}
	}
	// Reservations are a closed schema: what is included must not add a key.
	_, reservations := raw(t, server, "GET", "/projects/"+server.ProjectID+"/ips?include=parent_block,assignments", "")
	for _, reservation := range reservations["ip_addresses"].([]any) {
		if _, ok := reservation.(map[string]any)["parent_block"]; ok {
			t.Error("a reservation has a parent_block")
		}
		if got := keys(at(reservation.(map[string]any), "assignments")); len(got) < 5 {
			t.Errorf("the assignments were not included: %v", got)
		}
	}
	answer, created := raw(t, server, "POST", "/projects/"+server.ProjectID+"/devices?include=project",
		`{"plan":"c3.small.x86","operating_system":"ubuntu_24_04","metro":"da"}`)
	if at(created, "project", "name") == nil {
		t.Errorf("a new device does not include its project: %v", created["project"])
	}
	if want := server.URL + "/devices/" + created["id"].(string); answer.Header.Get("Location") != want {
		t.Errorf("Location is %q, want %q", answer.Header.Get("Location"), want)
	}
}

func TestElasticAddresses(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	ctx := t.Context()
	here := activeDevice(t, c, server.ProjectID, order("here"))
	elsewhere := order("elsewhere")
	elsewhere.Metro = "am"
	there := activeDevice(t, c, server.ProjectID, elsewhere)

	block, err := c.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 8, Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	if block.CIDR != 29 || block.Netmask != "255.255.255.248" || block.Metro.Code != "da" {
		t.Errorf("8 addresses are %+v, want a /29", block)
	}
	whole, err := c.AssignIP(ctx, here.ID, block.Network+"/30")
	if err != nil {
		t.Fatal(err)
	}
	for address, text := range map[string]string{
		block.Network:               "already assigned",
		block.Network + "/29":       "already assigned",
		here.IPAddresses[0].Address: "no elastic IP reservation",
		strings.Replace(block.Network, ".18.", ".19.", 1): "no elastic IP reservation",
	} {
		if _, err := c.AssignIP(ctx, here.ID, address); !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), text) {
			t.Errorf("assigning %s: %v, want 422 with %q", address, err, text)
		}
	}
	if _, err := c.AssignIP(ctx, there.ID, block.Network); !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), `"am"`) {
		t.Errorf("assigning an address of another metro: %v, want 422", err)
	}
	if err := c.DeleteIP(ctx, whole.ID); err != nil {
		t.Fatal(err)
	}
	assignment, err := c.AssignIP(ctx, here.ID, block.Network)
	if err != nil {
		t.Fatal(err)
	}

	// The device takes its assignment with it, but not the reservation.
	if err := c.DeleteDevice(ctx, here.ID, false); err != nil {
		t.Fatal(err)
	}
	waitGone(t, c, here.ID)
	if err := c.DeleteIP(ctx, assignment.ID); !packet.IsNotFound(err) {
		t.Errorf("the assignment of a device that is gone: %v, want not found", err)
	}
	again, err := c.IPReservation(ctx, block.ID)
	if err != nil || len(again.Assignments) != 0 {
		t.Errorf("the reservation is %+v (%v), want it without assignments", again, err)
	}

	// A global address goes anywhere, and a released block takes its
	// assignments along.
	global, err := c.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypeGlobalIPv4, Quantity: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AssignIP(ctx, there.ID, global.Address); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteIP(ctx, global.ID); err != nil {
		t.Fatal(err)
	}
	ips, err := c.DeviceIPs(ctx, there.ID)
	if err != nil || len(ips) != 3 {
		t.Errorf("after its release the device has %+v (%v), want its own three", ips, err)
	}

	_, err = c.CreateIPReservation(ctx, server.ProjectID, packet.IPReservationCreate{
		Type: packet.IPTypePublicIPv4, Quantity: 256, Metro: "da", FailOnApprovalRequired: true,
	})
	if !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), "quota") {
		t.Errorf("256 more addresses: %v, want 422 for the quota", err)
	}
}

func TestDeletionIsRefused(t *testing.T) {
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Profile: "realistic", Clock: clock})
	c := server.Client(t)
	ctx := t.Context()
	device, err := c.CreateDevice(ctx, server.ProjectID, order("slow"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteDevice(ctx, device.ID, false); !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), "Cannot delete a device while it is provisioning") {
		t.Errorf("deleting a device that is being provisioned: %v, want 422", err)
	}
	if _, err := c.UpdateDevice(ctx, device.ID, packet.DeviceUpdate{Locked: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteDevice(ctx, device.ID, true); !packet.IsUnprocessable(err) || !strings.Contains(err.Error(), "locked") {
		t.Errorf("deleting a locked device: %v, want 422", err)
	}
	if _, err := c.UpdateDevice(ctx, device.ID, packet.DeviceUpdate{Locked: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // Asking again does no harm.
		if err := c.DeleteDevice(ctx, device.ID, true); err != nil {
			t.Fatal(err)
		}
	}
	waitForState(t, c, device.ID, packet.StateDeprovisioning)
	clock.advanceUntil(t, func() bool {
		_, err := c.Device(ctx, device.ID)
		return packet.IsNotFound(err)
	})
}

func TestControlRoutesNeedNoToken(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	activeDevice(t, c, server.ProjectID, order("metrics"))
	base := strings.TrimSuffix(server.URL, "/metal/v1")
	for path, want := range map[string]string{
		"/_packetyard/health":  `{"status":"ok"}`,
		"/_packetyard/ready":   `{"status":"ready"}`,
		"/_packetyard/metrics": `packet_api_server_requests_total{code="201",operation="createDevice"} 1`,
	} {
		answer, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %.200s (%v), want 200 with %s", path, answer.StatusCode, body, err, want)
		}
	}
}

// TestCustomDataIsAnObject stores what old clients send for none, which came
// back as it was to clients that read an object.
func TestCustomDataIsAnObject(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	device := activeDevice(t, server.Client(t), server.ProjectID, order("custom"))
	for _, sent := range []string{`""`, `null`, `"text"`} {
		for method, path := range map[string]string{"PUT": "/devices/" + device.ID, "POST": "/projects/" + server.ProjectID + "/ips"} {
			answer, object := raw(t, server, method, path, `{"type":"public_ipv4","quantity":1,"metro":"da","customdata":`+sent+`}`)
			if data, ok := object["customdata"].(map[string]any); !ok || len(data) != 0 {
				t.Errorf("%s of custom data %s: %d with %v, want an empty object", method, sent, answer.StatusCode, object["customdata"])
			}
		}
	}
}
