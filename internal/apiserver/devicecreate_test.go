package apiserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// blocksOf writes a device's addresses as family, publicness and length.
func blocksOf(device *packet.Device) string {
	var texts []string
	for _, address := range device.IPAddresses {
		kind := "private"
		if address.Public {
			kind = "public"
		}
		texts = append(texts, fmt.Sprintf("%s%d/%d", kind, address.AddressFamily, address.CIDR))
	}
	return strings.Join(texts, " ")
}

// createRaw creates a device in Dallas with more fields than the required.
func createRaw(t *testing.T, server *apiservertest.Server, more string) (int, map[string]any, string) {
	t.Helper()
	answer, object := raw(t, server, "POST", "/projects/"+server.ProjectID+"/devices",
		`{"plan":"c3.small.x86","operating_system":"ubuntu_24_04","metro":"da"`+more+`}`)
	return answer.StatusCode, object, strings.Join(errorsOf(object), "; ")
}

func asDevice(t *testing.T, object map[string]any) *packet.Device {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	device := new(packet.Device)
	if err := json.Unmarshal(data, device); err != nil {
		t.Fatal(err)
	}
	return device
}

func TestDeviceAddressesByRequest(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	const private = `{"address_family":4,"public":false}`
	for _, test := range []struct{ more, want string }{
		{``, "public4/31 public6/127 private4/31"},
		{`,"ip_addresses":[]`, "public4/31 public6/127 private4/31"},
		{`,"ip_addresses":[` + private + `]`, "private4/31"},
		{`,"ip_addresses":[` + private + `,{"address_family":4}]`, "public4/31 private4/31"},
		{`,"ip_addresses":[` + private + `,{"address_family":6,"public":true,"cidr":124}]`, "public6/124 private4/31"},
		{`,"ip_addresses":[{"address_family":4,"public":false,"cidr":28},{"address_family":4,"public":true,"cidr":29}]`, "public4/29 private4/28"},
		{`,"public_ipv4_subnet_size":30,"private_ipv4_subnet_size":29`, "public4/30 public6/127 private4/29"},
		{`,"public_ipv4_subnet_size":28`, "public4/28 public6/127 private4/31"},
		{`,"operating_system":"windows_2022"`, "public4/30 public6/127 private4/31"},
		{`,"operating_system":"vmware_esxi_7_0"`, "public4/29 public6/127 private4/31"},
	} {
		status, object, text := createRaw(t, server, test.more)
		if status != http.StatusCreated {
			t.Errorf("%s: %d %s", test.more, status, text)
			continue
		}
		if got := blocksOf(asDevice(t, object)); got != test.want {
			t.Errorf("%s: %s, want %s", test.more, got, test.want)
		}
	}
	for more, want := range map[string]string{
		`,"ip_addresses":[{"address_family":4,"public":true}]`:                                                  "must have a private IPv4",
		`,"ip_addresses":[` + private + `,` + private + `]`:                                                     "ip_addresses[1] is of a kind that is in the list already",
		`,"ip_addresses":[` + private + `,{"address_family":4,"cidr":27}]`:                                      "ip_addresses[1].cidr 27 is not from 28 to 31",
		`,"ip_addresses":[` + private + `,{"address_family":6,"cidr":123}]`:                                     "ip_addresses[1].cidr 123 is not from 124 to 127",
		`,"ip_addresses":[` + private + `,{"address_family":6,"public":false}]`:                                 "private IPv6, which does not exist",
		`,"operating_system":"windows_2022","ip_addresses":[` + private + `]`:                                   `operating_system "windows_2022" needs a public IPv4`,
		`,"operating_system":"windows_2022","public_ipv4_subnet_size":31`:                                       "public_ipv4_subnet_size 31 is not from 28 to 30",
		`,"private_ipv4_subnet_size":32`:                                                                        "private_ipv4_subnet_size 32 is not from 28 to 31",
		`,"ip_addresses":[` + private + `,{"address_family":4,"ip_reservations":["` + server.ProjectID + `"]}]`: "is no IP reservation of the project",
	} {
		if status, _, text := createRaw(t, server, more); status != http.StatusUnprocessableEntity || !strings.Contains(text, want) {
			t.Errorf("%s: %d %q, want %q", more, status, text, want)
		}
	}
}

// TestDeviceAddressFromAReservation gives devices their public address out of
// a block that the project holds, which stays when they go.
func TestDeviceAddressFromAReservation(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	block, err := c.CreateIPReservation(t.Context(), server.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 4, Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	create := func() (*packet.Device, error) {
		input := order("reserved-address")
		input.IPAddresses = []packet.IPAddressCreate{
			{AddressFamily: 4, Public: true, CIDR: 31, IPReservations: []string{block.ID}}, {AddressFamily: 4},
		}
		return c.CreateDevice(t.Context(), server.ProjectID, input)
	}
	seen := map[string]bool{}
	var devices []*packet.Device
	for range 2 {
		device, err := create()
		if err != nil {
			t.Fatal(err)
		}
		address := device.IPAddresses[0]
		if !address.Management || address.CIDR != 31 || !strings.HasSuffix(address.ParentBlock.Href, block.ID) || seen[address.Address] {
			t.Errorf("the device has %+v", address)
		}
		seen[address.Address] = true
		devices = append(devices, device)
	}
	if _, err := create(); err == nil || !strings.Contains(err.Error(), "have no block of length /31 left") {
		t.Errorf("a third device of a block for two: %v", err)
	}
	if err := c.DeleteIP(t.Context(), block.ID); err == nil {
		t.Error("a reservation was released that devices have their own address from")
	}
	waitForState(t, c, devices[0].ID, packet.StateActive)
	if err := c.DeleteDevice(t.Context(), devices[0].ID, false); err != nil {
		t.Fatal(err)
	}
	waitGone(t, c, devices[0].ID)
	if _, err := create(); err != nil {
		t.Errorf("after a device gave its address back: %v", err)
	}
	elsewhere := order("elsewhere")
	elsewhere.Metro = "sv"
	elsewhere.IPAddresses = []packet.IPAddressCreate{{AddressFamily: 4, Public: true, IPReservations: []string{block.ID}}, {AddressFamily: 4}}
	if _, err := c.CreateDevice(t.Context(), server.ProjectID, elsewhere); err == nil || !strings.Contains(err.Error(), `is in metro "da"`) {
		t.Errorf("in another metro: %v", err)
	}
}

// TestSSHKeysOfADevice are all keys of the project and of the members of its
// organization, unless some are named or none is wanted.
func TestSSHKeysOfADevice(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	ids := map[string]string{}
	err := server.Change(t.Context(), func(tx *store.Tx) error {
		clear(ids)
		project, _ := tx.Projects.Get(server.ProjectID)
		organization, _ := tx.Organizations.Get(project.Value.OrganizationID)
		admin := tx.Users.All()[0].Value.ID
		user := func(name string) string {
			id := uuid.NewString()
			tx.Users.Create(tx, &store.User{ID: id, OrganizationID: uuid.NewString(), Email: name + "@example.com"})
			return id
		}
		ids["member"], ids["stranger"] = user("member"), user("stranger")
		changed := *organization.Value
		changed.Members = []string{ids["member"]}
		tx.Organizations.Update(tx, organization, &changed)
		key := func(name, userID, projectID string) {
			ids[name] = uuid.NewString()
			tx.SSHKeys.Create(tx, &store.SSHKey{ID: ids[name], UserID: userID, ProjectID: projectID, Label: name, Key: testKey, Fingerprint: name})
		}
		key("of the project", "", server.ProjectID)
		key("another of the project", "", server.ProjectID)
		key("of the admin", admin, "")
		key("of the member", ids["member"], "")
		key("of the stranger", ids["stranger"], "")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		more string
		want []string
	}{
		{``, []string{"another of the project", "of the admin", "of the member", "of the project"}},
		{`,"no_ssh_keys":true`, nil},
		{`,"project_ssh_keys":["` + ids["of the project"] + `"]`, []string{"of the project"}},
		{`,"user_ssh_keys":["` + ids["member"] + `"]`, []string{"of the member"}},
		{`,"no_ssh_keys":true,"user_ssh_keys":["` + ids["member"] + `"]`, []string{"of the member"}},
		{`,"project_ssh_keys":["` + ids["of the project"] + `","` + ids["of the project"] + `"],"user_ssh_keys":["` + ids["member"] + `"]`,
			[]string{"of the member", "of the project"}},
		{`,"ssh_keys":[{"label":"new","key":"` + testKey + `"}]`, []string{"new"}},
	} {
		status, object, text := createRaw(t, server, test.more)
		if status != http.StatusCreated {
			t.Errorf("%s: %d %s", test.more, status, text)
			continue
		}
		_, list := raw(t, server, "GET", "/devices/"+object["id"].(string)+"/ssh-keys", "")
		var got []string
		for _, key := range list["ssh_keys"].([]any) {
			got = append(got, key.(map[string]any)["label"].(string))
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.more, got, test.want)
		}
	}
	for _, more := range []string{
		`,"user_ssh_keys":["` + ids["stranger"] + `"]`, `,"project_ssh_keys":["` + ids["of the admin"] + `"]`,
	} {
		if status, _, text := createRaw(t, server, more); status != http.StatusUnprocessableEntity || !strings.Contains(text, "_ssh_keys") {
			t.Errorf("%s: %d %q", more, status, text)
		}
	}
}

func TestCustomPartitioning(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	const valid = `{"disks":[
		{"device":"/dev/sda","wipeTable":true,"partitions":[{"label":"BIOS","number":1,"size":"4096"},{"label":"SWAP","number":"2","size":"2GB"},{"label":"ROOT","number":3,"size":0}]},
		{"device":"/dev/nvme0n1","partitions":[{"number":1,"size":"100%"}]}],
		"raid":[{"devices":["/dev/sda3","/dev/nvme0n1p1"],"level":"1","name":"/dev/md0"}],
		"filesystems":[{"mount":{"device":"/dev/md0","format":"ext4","point":"/","create":{"options":["-L","ROOT"]}}},{"mount":{"device":"/dev/sda2","format":"swap","point":"none"}}]}`
	status, object, text := createRaw(t, server, `,"storage":`+valid)
	if status != http.StatusCreated || object["storage"].(map[string]any)["raid"] == nil {
		t.Errorf("a valid layout: %d %s", status, text)
	}
	// Old clients send a text for none.
	if status, object, text := createRaw(t, server, `,"storage":""`); status != http.StatusCreated || object["storage"] != nil {
		t.Errorf("an empty text: %d %s", status, text)
	}
	for layout, want := range map[string]string{
		`{"disks":5}`:                  "storage is not a layout",
		`{"disks":[{"device":"sda"}]}`: `storage.disks[0].device "sda" is not a path below /dev/`,
		`{"disks":[{"device":"/dev/sda"},{"device":"/dev/sda"}]}`:                                                          `"/dev/sda" is there twice`,
		`{"disks":[{"device":"/dev/sda","partitions":[{"number":0,"size":"1GB"}]}]}`:                                       "partitions[0].number 0 is not from 1 to 128",
		`{"disks":[{"device":"/dev/sda","partitions":[{"number":1,"size":"big"}]}]}`:                                       `partitions[0].size "big" is not a size`,
		`{"disks":[{"device":"/dev/sda"}],"raid":[{"devices":["/dev/sda","/dev/sdb"],"level":"1","name":"/dev/md0"}]}`:     `storage.raid[0].devices "/dev/sdb" is no disk`,
		`{"disks":[{"device":"/dev/sda"}],"raid":[{"devices":["/dev/sda"],"level":"5","name":"md0"}]}`:                     "level 5 needs at least 3",
		`{"disks":[{"device":"/dev/sda"}],"raid":[{"devices":[],"level":"7","name":"/dev/md0"}]}`:                          `storage.raid[0].level "7" is not one of: 0, 1, 5, 6, 10`,
		`{"disks":[{"device":"/dev/sda"}],"filesystems":[{"mount":{"device":"/dev/sdb","format":"ext4","point":"/"}}]}`:    `device "/dev/sdb" is none of storage.disks`,
		`{"disks":[{"device":"/dev/sda"}],"filesystems":[{"mount":{"device":"/dev/sda","format":"ntfs","point":"/"}}]}`:    `format "ntfs" is not one of`,
		`{"disks":[{"device":"/dev/sda"}],"filesystems":[{"mount":{"device":"/dev/sda","format":"ext4","point":"var"}}]}`:  `point "var" is not an absolute path`,
		`{"disks":[{"device":"/dev/sda"}],"filesystems":[{"mount":{"device":"/dev/sda","format":"ext4","point":"/var"}}]}`: "has none whose mount.point is /",
	} {
		if status, _, text := createRaw(t, server, `,"storage":`+layout); status != http.StatusUnprocessableEntity || !strings.Contains(text, want) {
			t.Errorf("%s: %d %q, want %q", layout, status, text, want)
		}
	}
}

func TestFeatures(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	for more, want := range map[string]int{
		`,"features":[]`:      201,
		`,"features":""`:      201,
		`,"features":["tpm"]`: 201,
		`,"features":{"raid":"required","txt":"preferred"}`: 201,
		`,"features":["txt"]`:                               503,
		`,"features":{"txt":"required"}`:                    503,
		`,"plan":"c2.medium.x86","features":["tpm"]`:        503,
		`,"features":["wings"]`:                             422,
		`,"features":{"tpm":"maybe"}`:                       422,
		`,"features":5`:                                     422,
	} {
		status, _, text := createRaw(t, server, more)
		if status != want || status == 503 && !strings.Contains(text, "servers matching your criteria") {
			t.Errorf("%s: %d %q, want %d", more, status, text, want)
		}
	}
}

// TestDevicesAreFiltered has one device of each kind and every filter.
func TestDevicesAreFiltered(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	reserveHardware(t, server, small(nil))
	var made []*packet.Device
	for i, change := range []func(*packet.DeviceCreate){
		func(d *packet.DeviceCreate) { d.Hostname, d.Tags = "alpha", []string{"one", "two"} },
		func(d *packet.DeviceCreate) {
			d.Hostname, d.Plan, d.Metro = "beta.alpha.example.com", "s3.xlarge.x86", "sv"
			d.TerminationTime = packet.NewTimestamp(newClock().Now().AddDate(10, 0, 0))
		},
		func(d *packet.DeviceCreate) {
			d.Hostname, d.HardwareReservationID, d.Description = "gamma", packet.NextAvailableHardware, "The Third"
		},
	} {
		create := order("")
		change(&create)
		device, err := c.CreateDevice(t.Context(), server.ProjectID, create)
		if err != nil {
			t.Fatalf("device %d: %v", i, err)
		}
		made = append(made, device)
	}
	mac := made[1].NetworkPorts[1].Data.MAC
	for query, want := range map[string]string{
		"":                                      "012",
		"hostname=alpha":                        "01",
		"hostname=ALPHA.example":                "1",
		"tag=two":                               "0",
		"tag=tw":                                "",
		"facility=sv15":                         "1",
		"facility=da11,sv15":                    "012",
		"metro=da":                              "02",
		"reserved=true":                         "2",
		"reserved=false":                        "01",
		"type=reserved":                         "2",
		"type=ondemand":                         "01",
		"type=on_demand,reserved":               "012",
		"type=spot":                             "",
		"has_termination_time=true":             "1",
		"has_termination_time=false":            "02",
		"mac_address=" + mac:                    "1",
		"mac_address=" + strings.ToUpper(mac):   "1",
		"categories=storage":                    "1",
		"categories=storage&categories=compute": "012",
		"categories[]=compute":                  "02",
		"categories=vmce":                       "",
		"search=third":                          "2",
		"search=silicon":                        "1",
		"search=s3.xlarge":                      "1",
		"search=" + made[0].ShortID:             "0",
		"search=" + made[0].IPAddresses[0].Address: "0",
		"search=one":              "0",
		"search=Ubuntu 24.04 LTS": "012",
		"search=" + hrefID(made[2].HardwareReservation.Href)[:8]: "2",
		"search=nothing":                      "",
		"metro=da&reserved=false&hostname=al": "0",
	} {
		for _, path := range []string{"/projects/" + server.ProjectID, "/organizations/" + organizationOf(t, server)} {
			_, object := raw(t, server, "GET", path+"/devices?per_page=100&"+strings.ReplaceAll(query, " ", "%20"), "")
			got := ""
			for i, device := range made {
				for _, element := range object["devices"].([]any) {
					if element.(map[string]any)["id"] == device.ID {
						got += fmt.Sprint(i)
					}
				}
			}
			// The operation for an organization has no filter by metro.
			if got != want && (!strings.Contains(query, "metro") || strings.HasPrefix(path, "/projects")) {
				t.Errorf("%s?%s finds %q, want %q", path, query, got, want)
			}
		}
	}
}

func hrefID(href string) string { return href[strings.LastIndex(href, "/")+1:] }

func organizationOf(t *testing.T, server *apiservertest.Server) string {
	t.Helper()
	project, err := server.Client(t).Project(t.Context(), server.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	return hrefID(project.Organization.Href)
}
